package kstreams;

import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.LogContext;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.processor.TaskId;
import org.apache.kafka.streams.processor.internals.InternalTopologyBuilder;
import org.apache.kafka.streams.processor.internals.ProcessorContextImpl;
import org.apache.kafka.streams.processor.internals.ProcessorStateManager;
import org.apache.kafka.streams.processor.internals.ProcessorTopology;
import org.apache.kafka.streams.processor.internals.RecordCollectorImpl;
import org.apache.kafka.streams.processor.internals.StateDirectory;
import org.apache.kafka.streams.processor.internals.StreamTask;
import org.apache.kafka.streams.processor.internals.StreamsProducer;
import org.apache.kafka.streams.processor.internals.Task;
import org.apache.kafka.streams.processor.internals.metrics.StreamsMetricsImpl;
import org.apache.kafka.streams.state.internals.ThreadCache;
import org.apache.kafka.streams.test.TestRecord;

/**
 * Stops the task of a TopologyTestDriver and starts another one in its place, as a process does that begins again
 * without local state: new processors and stores, restored from what the changelogs hold, and the committed
 * positions with their metadata. The driver has no such thing, so this does what it does when it is made, with the
 * restoring in between.
 */
final class Restart {
    private final TopologyTestDriver driver;

    Restart(final TopologyTestDriver driver) {
        this.driver = driver;
    }

    /** {@code logs}: all that changelog topics hold, and source topics that are changelogs. */
    void run(final Map<String, List<TestRecord<byte[], byte[]>>> logs) {
        final StreamTask old = get("task");
        if (old == null) {
            return;
        }
        final ProcessorContextImpl before = (ProcessorContextImpl) old.processorContext();
        final StreamsMetricsImpl metrics = before.metrics();
        old.suspend();
        old.prepareCommit(true);
        old.postCommit(true);
        old.closeClean();
        final StateDirectory directory = get("stateDirectory");
        final TaskId id = old.id();
        try {
            Utils.delete(directory.getOrCreateDirectoryForTask(id));
        } catch (final java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }

        final InternalTopologyBuilder builder = get("internalTopologyBuilder");
        final ProcessorTopology topology = builder.buildTopology();
        set("processorTopology", topology);
        final StreamsConfig config = new StreamsConfig(before.appConfigs());
        final LogContext log = get("logContext");
        final Map<String, TopicPartition> inputs = get("partitionsByInputTopic");
        final Set<TopicPartition> partitions = new HashSet<>(inputs.values());
        final ThreadCache cache = new ThreadCache(log,
            config.getLong(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG), metrics);
        final ProcessorStateManager states = new ProcessorStateManager(id, Task.TaskType.ACTIVE, false, log, directory,
            topology.storeToChangelogTopic(), partitions);
        final StreamsProducer producer = get("testDriverProducer");
        final RecordCollectorImpl collector = new RecordCollectorImpl(log, id, producer,
            config.productionExceptionHandler(), metrics, topology);
        final ProcessorContextImpl context = new ProcessorContextImpl(id, config, states, metrics, cache);
        final Consumer<byte[], byte[]> consumer = get("consumer");
        final Time time = get("mockWallClockTime");
        final StreamTask task = new StreamTask(id, partitions, topology, consumer,
            builder.topologyConfigs().getTaskConfig(), metrics, directory, cache, time, states, collector, context, log,
            false);
        set("task", task);
        task.initializeIfNeeded();
        for (final String topic : new HashSet<>(topology.storeToChangelogTopic().values())) {
            restore(states, new TopicPartition(topic, 0), logs.getOrDefault(topic, List.of()));
        }
        final Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(partitions);
        task.completeRestoration(reset -> { });
        for (final TopicPartition partition : partitions) {
            final OffsetAndMetadata at = committed.get(partition);
            task.updateNextOffsets(partition, new OffsetAndMetadata(at == null ? 0 : at.offset(), Optional.empty(), ""));
        }
    }

    private static void restore(
        final ProcessorStateManager states, final TopicPartition changelog,
        final List<TestRecord<byte[], byte[]>> log) {
        final List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (final TestRecord<byte[], byte[]> record : log) {
            // What reads changelogs passes over null keys, which source topics may have.
            if (record.key() == null) {
                continue;
            }
            records.add(new ConsumerRecord<>(changelog.topic(), 0, records.size(), record.timestamp(),
                TimestampType.CREATE_TIME, 0, 0, record.key(), record.value(), record.headers(), Optional.empty()));
        }
        try {
            final Method metadata = ProcessorStateManager.class.getDeclaredMethod("storeMetadata", TopicPartition.class);
            metadata.setAccessible(true);
            final Object store = metadata.invoke(states, changelog);
            if (store == null) {
                // Of a global store, which stays.
                return;
            }
            final Method restore = ProcessorStateManager.class.getDeclaredMethod("restore",
                store.getClass(), List.class, OptionalLong.class);
            restore.setAccessible(true);
            restore.invoke(states, store, records, OptionalLong.empty());
        } catch (final ReflectiveOperationException error) {
            throw new IllegalStateException("restoring " + changelog, error);
        }
    }

    @SuppressWarnings("unchecked")
    private <T> T get(final String name) {
        try {
            return (T) field(name).get(driver);
        } catch (final ReflectiveOperationException error) {
            throw new IllegalStateException(error);
        }
    }

    private void set(final String name, final Object value) {
        try {
            field(name).set(driver, value);
        } catch (final ReflectiveOperationException error) {
            throw new IllegalStateException(error);
        }
    }

    private static Field field(final String name) throws NoSuchFieldException {
        final Field field = TopologyTestDriver.class.getDeclaredField(name);
        field.setAccessible(true);
        return field;
    }
}
