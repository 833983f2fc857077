package kstreams;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.LongSerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.ValueAndTimestamp;
import org.apache.kafka.streams.state.TimestampedWindowStore;

/**
 * The workloads of the bench program "engine" on Kafka Streams: the same arguments, the same topologies in
 * its Processor API, and the same closing line, so that both can be run by turns.
 */
public final class PeerEngine {
    private static final LongAdder READ = new LongAdder();
    private static final CountDownLatch FIRST = new CountDownLatch(1);
    private static final long WINDOW_MS = 60_000;
    private static final Duration RETENTION = Duration.ofHours(1);

    private PeerEngine() {
    }

    /** Bytes as they are; counts what it reads. */
    private static final class Counted implements Deserializer<byte[]> {
        @Override
        public byte[] deserialize(final String topic, final byte[] data) {
            READ.increment();
            FIRST.countDown();
            return data;
        }
    }

    private static final class Count extends ContextualProcessor<byte[], byte[], byte[], Long> {
        private KeyValueStore<byte[], Long> counts;

        @Override
        public void init(final ProcessorContext<byte[], Long> context) {
            super.init(context);
            counts = context.getStateStore("counts");
        }

        @Override
        public void process(final Record<byte[], byte[]> record) {
            final Long before = counts.get(record.key());
            final long n = before == null ? 1 : before + 1;
            counts.put(record.key(), n);
            context().forward(record.withValue(n));
        }
    }

    private static final class WindowCount extends ContextualProcessor<byte[], byte[], byte[], Long> {
        private TimestampedWindowStore<byte[], Long> counts;

        @Override
        public void init(final ProcessorContext<byte[], Long> context) {
            super.init(context);
            counts = context.getStateStore("counts");
        }

        @Override
        public void process(final Record<byte[], byte[]> record) {
            final long start = record.timestamp() - record.timestamp() % WINDOW_MS;
            final ValueAndTimestamp<Long> before = counts.fetch(record.key(), start);
            final long n = before == null ? 1 : before.value() + 1;
            counts.put(record.key(), ValueAndTimestamp.make(n, record.timestamp()), start);
            context().forward(record.withValue(n));
        }
    }

    private static final class Keep extends ContextualProcessor<byte[], byte[], Void, Void> {
        private KeyValueStore<byte[], byte[]> table;

        @Override
        public void init(final ProcessorContext<Void, Void> context) {
            super.init(context);
            table = context.getStateStore("table");
        }

        @Override
        public void process(final Record<byte[], byte[]> record) {
            table.put(record.key(), record.value());
        }
    }

    private static final class LookUp extends ContextualProcessor<byte[], byte[], byte[], byte[]> {
        private KeyValueStore<byte[], byte[]> table;

        @Override
        public void init(final ProcessorContext<byte[], byte[]> context) {
            super.init(context);
            table = context.getStateStore("table");
        }

        @Override
        public void process(final Record<byte[], byte[]> record) {
            final byte[] found = table.get(record.key());
            if (found != null) {
                final ByteBuffer joined = ByteBuffer.allocate(record.value().length + found.length);
                joined.put(record.value()).put(found);
                context().forward(record.withValue(joined.array()));
            }
        }
    }

    private static Processor<byte[], byte[], byte[], byte[]> step() {
        return new ContextualProcessor<>() {
            @Override
            public void process(final Record<byte[], byte[]> record) {
                context().forward(record);
            }
        };
    }

    /** The DSL's count, of several changes between two commits the last. */
    private static Topology cachedCount(final String input, final String output, final boolean memory) {
        final StreamsBuilder builder = new StreamsBuilder();
        final KeyValueBytesStoreSupplier store =
            memory ? Stores.inMemoryKeyValueStore("counts") : Stores.persistentTimestampedKeyValueStore("counts");
        builder
            .stream(input, Consumed.with(Serdes.ByteArray(), Serdes.serdeFrom(new ByteArraySerializer(), new Counted())))
            .groupByKey()
            .count(Materialized.<byte[], Long>as(store)
                .withKeySerde(Serdes.ByteArray()).withValueSerde(Serdes.Long()).withCachingEnabled())
            .toStream()
            .to(output, Produced.with(Serdes.ByteArray(), Serdes.Long()));
        return builder.build();
    }

    /** Counts what is restored, as if it were read. */
    private static final class Restored implements StateRestoreListener {
        @Override
        public void onRestoreStart(final TopicPartition from, final String store, final long start, final long end) {
            FIRST.countDown();
        }

        @Override
        public void onBatchRestored(final TopicPartition from, final String store, final long end, final long n) {
        }

        @Override
        public void onRestoreEnd(final TopicPartition from, final String store, final long n) {
            READ.add(n);
        }
    }

    /** Keeps what a source reads in the store "table". */
    private static void keep(final Topology topology, final String source, final boolean memory) {
        topology.addProcessor("keep", Keep::new, source);
        topology.addStateStore(
            Stores.keyValueStoreBuilder(
                memory ? Stores.inMemoryKeyValueStore("table") : Stores.persistentKeyValueStore("table"),
                Serdes.ByteArray(), Serdes.ByteArray()),
            "keep");
    }

    private static Topology topology(final Map<String, String> args) {
        final ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        final ByteArraySerializer write = new ByteArraySerializer();
        final String input = args.getOrDefault("input", "input");
        final String output = args.getOrDefault("output", "output");
        final boolean memory = "memory".equals(args.getOrDefault("store", "rocksdb"));
        if ("count-cached".equals(args.get("workload"))) {
            return cachedCount(input, output, memory);
        }
        final Topology topology = new Topology();
        topology.addSource("source", bytes, new Counted(), input);
        switch (args.getOrDefault("workload", "passthrough")) {
            case "passthrough":
                topology.addSink("sink", output, write, write, "source");
                break;
            case "chain":
                String last = "source";
                for (int index = 0; index < 10; index++) {
                    topology.addProcessor("p" + index, PeerEngine::step, last);
                    last = "p" + index;
                }
                topology.addSink("sink", output, write, write, last);
                break;
            case "count":
                topology.addProcessor("count", Count::new, "source");
                topology.addStateStore(
                    Stores.keyValueStoreBuilder(
                        memory ? Stores.inMemoryKeyValueStore("counts") : Stores.persistentKeyValueStore("counts"),
                        Serdes.ByteArray(), Serdes.Long()),
                    "count");
                topology.addSink("sink", output, write, new LongSerializer(), "count");
                break;
            case "window-count":
                final Duration size = Duration.ofMillis(WINDOW_MS);
                topology.addProcessor("count", WindowCount::new, "source");
                topology.addStateStore(
                    Stores.timestampedWindowStoreBuilder(
                        memory ? Stores.inMemoryWindowStore("counts", RETENTION, size, false)
                            : Stores.persistentTimestampedWindowStore("counts", RETENTION, size, false),
                        Serdes.ByteArray(), Serdes.Long()),
                    "count");
                topology.addSink("sink", output, write, new LongSerializer(), "count");
                break;
            case "restore":
                keep(topology, "source", memory);
                break;
            case "lookup":
                topology.addSource("table-source", bytes, bytes, args.getOrDefault("table", "table"));
                keep(topology, "table-source", memory);
                topology.addProcessor("look-up", LookUp::new, "source");
                topology.connectProcessorAndStateStores("look-up", "table");
                topology.addSink("sink", output, write, write, "look-up");
                break;
            default:
                throw new IllegalArgumentException("--workload " + args.get("workload"));
        }
        return topology;
    }

    private static long peakRssMib() throws IOException {
        for (final String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("[^0-9]", "")) / 1024;
            }
        }
        return 0;
    }

    /** Runs one workload and prints its figures. */
    public static void main(final String[] words) throws Exception {
        final long began = ManagementFactory.getRuntimeMXBean().getStartTime();
        final Map<String, String> args = new HashMap<>();
        for (int index = 0; index + 1 < words.length; index += 2) {
            args.put(words[index].substring(2), words[index + 1]);
        }
        final long n = Long.parseLong(args.getOrDefault("records", "1000000"));
        final String guarantee = args.getOrDefault("guarantee", "at-least-once");
        final Path state = Files.createTempDirectory("kstreams-peer");
        final Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, args.getOrDefault("app-id", "peer"));
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args.get("bootstrap"));
        config.put(StreamsConfig.STATE_DIR_CONFIG, args.getOrDefault("state-dir", state.toString()));
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, args.getOrDefault("threads", "1"));
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, args.getOrDefault("commit-ms", "100"));
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG,
            "exactly-once".equals(guarantee) ? StreamsConfig.EXACTLY_ONCE_V2 : StreamsConfig.AT_LEAST_ONCE);
        final OperatingSystemMXBean system =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        final KafkaStreams app = new KafkaStreams(topology(args), config);
        app.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        final boolean restores = "restore".equals(args.get("workload"));
        if (restores) {
            // Elsewhere it would tell of empty changelogs, before the first record.
            app.setGlobalStateRestoreListener(new Restored());
        }
        app.start();
        FIRST.await();
        final long firstAfter = System.currentTimeMillis() - began;
        final long first = System.nanoTime();
        final long cpuBefore = system.getProcessCpuTime();
        while (READ.sum() < n) {
            Thread.sleep(1);
        }
        // A restore has reached its end when the application runs, all else when it has committed.
        while (restores && app.state() != KafkaStreams.State.RUNNING) {
            Thread.sleep(1);
        }
        if (!restores) {
            app.close(Duration.ofSeconds(60));
        }
        final double seconds = (System.nanoTime() - first) / 1e9;
        final double cpu = (system.getProcessCpuTime() - cpuBefore) / 1e3;
        app.close(Duration.ofSeconds(60));
        System.out.printf("workload=java-%s guarantee=%s threads=%s n=%d seconds=%.3f records_per_s=%.0f "
                + "cpu_us_per_record=%.3f first_record_after_s=%.3f peak_rss_mb=%d%n",
            args.getOrDefault("workload", "passthrough"), guarantee, args.getOrDefault("threads", "1"), n,
            seconds, n / seconds, cpu / n, firstAfter / 1e3, peakRssMib());
        System.exit(0);
    }
}
