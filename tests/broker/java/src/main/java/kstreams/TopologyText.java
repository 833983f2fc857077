package kstreams;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.RecordContext;
import org.apache.kafka.streams.processor.TopicNameExtractor;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.internals.InternalTopicProperties;
import org.apache.kafka.streams.processor.internals.InternalTopologyBuilder;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Builds topologies from text, so that a Rust test can send its own. A text holds cases, each headed by
 * "=== name"; a case is one call per line, in the order in which Java makes them:
 *
 * <pre>source NAME topic1,topic2
 *pattern NAME regex                             (the regex is the rest of the line)
 *processor NAME parent1,parent2
 *sink NAME topic parent1,parent2
 *dynamic NAME EXTRACTOR parent1,parent2         (describe() prints the extractor's toString, EXTRACTOR)
 *store NAME processor1,processor2 [KIND] [OPTION]...      ("-" for no processor)
 *connect PROCESSOR store1,store2
 *global STORE SOURCE TOPIC PROCESSOR
 *readonly STORE SOURCE TOPIC PROCESSOR
 *internal TOPIC [PARTITIONS]                    (a repartition topic: gets the application id as prefix)
 *copartition source1,source2
 *partitions TOPIC N                             (only for GoldenTasks)</pre>
 *
 * KIND is kv (the default), tkv, window, session or versioned. OPTION is retention=MS, size=MS,
 * history=MS, duplicates, disk, cached, nolog, or log:KEY=VALUE for the changelog topic. Empty lines and
 * lines that begin with # are skipped.
 */
final class TopologyText {
    /** Opens the builder behind a topology, which knows sub-topologies and internal topics. */
    static final class OpenTopology extends Topology {
        final Map<String, Integer> partitions = new TreeMap<>();

        InternalTopologyBuilder builder() {
            return internalTopologyBuilder;
        }
    }

    /** A name and the lines under it. */
    record Case(String name, List<String> lines) {}

    private record Extractor(String name) implements TopicNameExtractor<byte[], byte[]> {
        @Override
        public String extract(final byte[] key, final byte[] value, final RecordContext context) {
            throw new UnsupportedOperationException("never runs");
        }

        @Override
        public String toString() {
            return name;
        }
    }

    private final OpenTopology topology = new OpenTopology();

    private TopologyText() {}

    static List<Case> cases(final List<String> lines) {
        final List<Case> cases = new ArrayList<>();
        for (final String line : lines) {
            if (line.startsWith("=== ")) {
                cases.add(new Case(line.substring(4), new ArrayList<>()));
            } else if (!line.isBlank() && !line.startsWith("#")) {
                if (cases.isEmpty()) {
                    cases.add(new Case("unnamed", new ArrayList<>()));
                }
                cases.get(cases.size() - 1).lines().add(line);
            }
        }
        return cases;
    }

    static OpenTopology build(final Case text) {
        final TopologyText builder = new TopologyText();
        text.lines().forEach(builder::line);
        return builder.topology;
    }

    private void line(final String line) {
        final String[] words = line.strip().split(" +");
        switch (words[0]) {
            case "source" -> topology.addSource(words[1], keys(), keys(), words[2].split(","));
            case "pattern" -> {
                final String regex = line.strip().split(" +", 3)[2];
                topology.addSource(words[1], keys(), keys(), Pattern.compile(regex));
            }
            case "processor" -> topology.addProcessor(words[1], processor(), words[2].split(","));
            case "sink" -> topology.addSink(
                words[1], words[2], new ByteArraySerializer(), new ByteArraySerializer(), words[3].split(","));
            case "dynamic" -> topology.addSink(words[1], new Extractor(words[2]), new ByteArraySerializer(),
                new ByteArraySerializer(), words[3].split(","));
            case "store" -> topology.addStateStore(store(words), names(words[2]));
            case "connect" -> topology.connectProcessorAndStateStores(words[1], names(words[2]));
            case "global" -> topology.addGlobalStore(
                plain(words[1]), words[2], keys(), keys(), words[3], words[4], endProcessor());
            case "readonly" -> topology.addReadOnlyStateStore(
                plain(words[1]), words[2], keys(), keys(), words[3], words[4], endProcessor());
            case "internal" -> topology.builder().addInternalTopic(words[1],
                new InternalTopicProperties(words.length > 2 ? Integer.valueOf(words[2]) : null));
            case "copartition" -> topology.builder().copartitionSources(Arrays.asList(names(words[1])));
            case "partitions" -> topology.partitions.put(words[1], Integer.valueOf(words[2]));
            default -> throw new IllegalArgumentException("unknown line: " + line);
        }
    }

    private static StoreBuilder<?> store(final String[] words) {
        final Map<String, String> log = new HashMap<>();
        final Map<String, Duration> times = new HashMap<>();
        String kind = "kv";
        boolean logged = true;
        boolean cached = false;
        boolean duplicates = false;
        boolean disk = false;
        for (final String word : Arrays.asList(words).subList(3, words.length)) {
            final String[] pair = word.split("=", 2);
            switch (pair[0]) {
                case "nolog" -> logged = false;
                case "cached" -> cached = true;
                case "duplicates" -> duplicates = true;
                case "disk" -> disk = true;
                case "retention", "size", "history" ->
                    times.put(pair[0], Duration.ofMillis(Long.parseLong(pair[1])));
                default -> {
                    if (pair[0].startsWith("log:")) {
                        log.put(pair[0].substring(4), pair[1]);
                    } else {
                        kind = word;
                    }
                }
            }
        }
        final Duration retention = times.getOrDefault("retention", Duration.ofHours(1));
        final Duration size = times.getOrDefault("size", Duration.ofMinutes(1));
        final Duration history = times.getOrDefault("history", Duration.ofHours(1));
        final String name = words[1];
        final var bytes = Serdes.ByteArray();
        final StoreBuilder<?> store = switch (kind) {
            case "kv" -> disk
                ? Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(name), bytes, bytes)
                : plain(name);
            case "tkv" -> Stores.timestampedKeyValueStoreBuilder(
                disk ? Stores.persistentTimestampedKeyValueStore(name) : Stores.inMemoryKeyValueStore(name),
                bytes, bytes);
            case "window" -> Stores.windowStoreBuilder(
                disk ? Stores.persistentWindowStore(name, retention, size, duplicates)
                    : Stores.inMemoryWindowStore(name, retention, size, duplicates),
                bytes, bytes);
            case "session" -> Stores.sessionStoreBuilder(
                disk ? Stores.persistentSessionStore(name, retention)
                    : Stores.inMemorySessionStore(name, retention),
                bytes, bytes);
            case "versioned" -> Stores.versionedKeyValueStoreBuilder(
                Stores.persistentVersionedKeyValueStore(name, history), bytes, bytes);
            default -> throw new IllegalArgumentException("unknown kind of store: " + kind);
        };
        if (cached) {
            store.withCachingEnabled();
        }
        return logged ? store.withLoggingEnabled(log) : store.withLoggingDisabled();
    }

    private static StoreBuilder<?> plain(final String name) {
        return Stores.keyValueStoreBuilder(
            Stores.inMemoryKeyValueStore(name), Serdes.ByteArray(), Serdes.ByteArray());
    }

    private static ProcessorSupplier<byte[], byte[], byte[], byte[]> processor() {
        return () -> new ContextualProcessor<>() {
            @Override
            public void process(final Record<byte[], byte[]> record) {
                throw new UnsupportedOperationException("never runs");
            }
        };
    }

    private static ProcessorSupplier<byte[], byte[], Void, Void> endProcessor() {
        return () -> new ContextualProcessor<>() {
            @Override
            public void process(final Record<byte[], byte[]> record) {
                throw new UnsupportedOperationException("never runs");
            }
        };
    }

    private static ByteArrayDeserializer keys() {
        return new ByteArrayDeserializer();
    }

    private static String[] names(final String list) {
        return list.equals("-") ? new String[0] : list.split(",");
    }

    /** All topics with a partition count: what the cluster would list. */
    static Set<String> topics(final OpenTopology topology) {
        return topology.partitions.keySet();
    }
}
