package kstreams;

import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.processor.TaskId;
import org.apache.kafka.streams.processor.internals.InternalTopicConfig;
import org.apache.kafka.streams.processor.internals.InternalTopicManager;
import org.apache.kafka.streams.processor.internals.InternalTopologyBuilder;
import org.apache.kafka.streams.processor.internals.InternalTopologyBuilder.TopicsInfo;
import org.apache.kafka.streams.processor.internals.PartitionGrouper;
import org.apache.kafka.streams.processor.internals.RepartitionTopics;
import org.apache.kafka.streams.processor.internals.TopologyMetadata;
import org.apache.kafka.streams.processor.internals.TopologyMetadata.Subtopology;
import org.apache.kafka.streams.processor.internals.assignment.CopartitionedTopicsEnforcer;

/**
 * Which tasks and internal topics a topology has, for the application id "app". Prints for each case (see
 * TopologyText) from stdin, every list sorted and joined by ",", "-" when empty:
 *
 * <pre>=== name
 *subtopology ID sources TOPICS sinks TOPICS stores STORES
 *repartition SUBTOPOLOGY TOPIC PARTITIONS key=value;key=value
 *changelog SUBTOPOLOGY TOPIC key=value;key=value
 *sourcechangelog SUBTOPOLOGY TOPIC              a source topic that serves as changelog
 *copartition TOPICS
 *globals STORES
 *task ID topic-0,topic-0 changelog-0,changelog-0</pre>
 *
 * or "error ExceptionClass: message". Needs a "partitions" line for each topic that users own. Partition
 * counts of repartition topics and the tasks come from the classes that the classic assignor uses.
 */
public final class GoldenTasks {
    private static final long DAY_MS = 24 * 60 * 60 * 1000L;

    private GoldenTasks() {}

    public static void main(final String[] args) throws Exception {
        final List<String> lines = args.length == 0 ? GoldenDescribe.resource() : GoldenDescribe.read(System.in);
        try (PrintStream out = Lines.out()) {
            for (final TopologyText.Case next : TopologyText.cases(lines)) {
                out.println("=== " + next.name());
                try {
                    out.print(tasks(TopologyText.build(next)));
                } catch (final RuntimeException error) {
                    out.print(GoldenDescribe.refusal(error));
                }
            }
        }
    }

    private static String tasks(final TopologyText.OpenTopology topology) throws ReflectiveOperationException {
        final InternalTopologyBuilder builder = topology.builder();
        final StreamsConfig config = new StreamsConfig(Map.of(
            StreamsConfig.APPLICATION_ID_CONFIG, "app", StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, "none:1"));
        final TopologyMetadata metadata = new TopologyMetadata(builder, config);
        metadata.buildAndRewriteTopology();
        subscribe(builder, topology.partitions.keySet());
        final Cluster users = cluster(topology.partitions);
        final RepartitionTopics repartition = new RepartitionTopics(metadata, new NoTopics(config),
            new CopartitionedTopicsEnforcer("golden "), users, "golden ");
        repartition.setup();
        final Cluster all = users.withPartitions(repartition.topicPartitionsInfo());
        final Map<Subtopology, TopicsInfo> groups = builder.subtopologyToTopicsInfo();

        final StringBuilder text = new StringBuilder();
        for (final Map.Entry<Subtopology, TopicsInfo> group : groups.entrySet()) {
            final int id = id(group.getKey());
            final TopicsInfo topics = group.getValue();
            text.append("subtopology ").append(id)
                .append(" sources ").append(join(topics.sourceTopics))
                .append(" sinks ").append(join(topics.sinkTopics))
                .append(" stores ").append(join(builder.stateStoreNamesForSubtopology(id)))
                .append('\n');
            for (final InternalTopicConfig topic : sorted(topics.repartitionSourceTopics.values())) {
                text.append("repartition ").append(id).append(' ').append(topic.name()).append(' ')
                    .append(all.partitionCountForTopic(topic.name())).append(' ').append(properties(topic))
                    .append('\n');
            }
            for (final InternalTopicConfig topic : sorted(topics.nonSourceChangelogTopics())) {
                text.append("changelog ").append(id).append(' ').append(topic.name()).append(' ')
                    .append(properties(topic)).append('\n');
            }
            for (final String topic : new TreeSet<>(topics.sourceTopicChangelogs())) {
                text.append("sourcechangelog ").append(id).append(' ').append(topic).append('\n');
            }
        }
        builder.copartitionGroups().stream().map(GoldenTasks::join).sorted()
            .forEach(group -> text.append("copartition ").append(group).append('\n'));
        text.append("globals ").append(join(builder.globalStateStores().keySet())).append('\n');
        text.append(taskLines(groups, all));
        return text.toString();
    }

    private static String taskLines(final Map<Subtopology, TopicsInfo> groups, final Cluster cluster) {
        final Map<Subtopology, Set<String>> sources = new HashMap<>();
        final Map<Subtopology, Set<String>> changelogs = new HashMap<>();
        groups.forEach((id, topics) -> {
            sources.put(id, topics.sourceTopics);
            changelogs.put(id, topics.changelogTopics());
        });
        final Map<TaskId, Set<TopicPartition>> changelogParts = new HashMap<>();
        final Map<TaskId, Set<TopicPartition>> tasks = new TreeMap<>(
            new PartitionGrouper().partitionGroups(sources, changelogs, changelogParts, cluster));
        final StringBuilder text = new StringBuilder();
        tasks.forEach((id, partitions) -> text.append("task ").append(id).append(' ')
            .append(join(names(partitions))).append(' ').append(join(names(changelogParts.get(id))))
            .append('\n'));
        return text.toString();
    }

    /** What the consumer's metadata tells, so that patterns match. The method is not public. */
    private static void subscribe(final InternalTopologyBuilder builder, final Set<String> topics)
        throws ReflectiveOperationException {
        final Method method = InternalTopologyBuilder.class
            .getDeclaredMethod("addSubscribedTopicsFromMetadata", Set.class, String.class);
        method.setAccessible(true);
        final Set<String> matching =
            topics.stream().filter(builder::containsTopic).collect(Collectors.toSet());
        method.invoke(builder, matching, "golden ");
    }

    /** The number in front of a task id. The field is not public. */
    private static int id(final Subtopology subtopology) throws ReflectiveOperationException {
        final Field field = Subtopology.class.getDeclaredField("nodeGroupId");
        field.setAccessible(true);
        return field.getInt(subtopology);
    }

    private static Cluster cluster(final Map<String, Integer> partitions) {
        final Node node = new Node(1, "none", 1);
        final List<PartitionInfo> infos = new ArrayList<>();
        partitions.forEach((topic, count) -> {
            for (int partition = 0; partition < count; partition++) {
                infos.add(new PartitionInfo(topic, partition, node, new Node[] {node}, new Node[] {node}));
            }
        });
        return new Cluster("golden", List.of(node), infos, Set.of(), Set.of());
    }

    private static String properties(final InternalTopicConfig topic) {
        final Map<String, String> properties = new TreeMap<>(topic.properties(Map.of(), DAY_MS));
        return properties.entrySet().stream().map(Object::toString).collect(Collectors.joining(";"));
    }

    private static List<InternalTopicConfig> sorted(final Collection<InternalTopicConfig> topics) {
        final Map<String, InternalTopicConfig> byName = new TreeMap<>();
        topics.forEach(topic -> byName.put(topic.name(), topic));
        return List.copyOf(byName.values());
    }

    private static Set<String> names(final Set<TopicPartition> partitions) {
        return partitions.stream().map(TopicPartition::toString).collect(Collectors.toCollection(HashSet::new));
    }

    private static String join(final Set<String> names) {
        return names.isEmpty() ? "-" : String.join(",", new TreeSet<>(names));
    }

    /** Stands where Java would create the topics. */
    private static final class NoTopics extends InternalTopicManager {
        NoTopics(final StreamsConfig config) {
            super(Time.SYSTEM, null, config);
        }

        @Override
        public Set<String> makeReady(final Map<String, InternalTopicConfig> topics) {
            return Set.of();
        }
    }
}
