package kstreams;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeSet;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers;
import org.apache.kafka.streams.state.RocksDBConfigSetter;
import org.apache.kafka.streams.test.TestRecord;
import org.rocksdb.InfoLogLevel;
import org.rocksdb.Options;

/**
 * Runs DSL topologies on the TopologyTestDriver, one case after the other, for as long as stdin lasts.
 *
 * <p>A case is the lines of {@link DslText}, a line "input", and steps: "put TOPIC KEY VALUE TIME HEADERS" pipes
 * a record, "wait MS" moves the wall clock, "restart" is a {@link Restart}; a line "run" ends it. The answer: the
 * lines of describe(), a line "output", and after each step "step" and what it wrote to each topic,
 * "TOPIC KEY VALUE TIME HEADERS", topics in the order of their names; then "end". What was thrown comes as
 * "error TEXT" and ends the case. Columns are those of {@link Lines}.
 */
public final class DslRun {
    private static final ByteArraySerializer BYTES = new ByteArraySerializer();
    private static final ByteArrayDeserializer READ = new ByteArrayDeserializer();

    /** Of this process alone: tests run several beside each other, and restarts delete what is there. */
    private static final File STATE = new File(folder(), "kstreams-dsl-" + ProcessHandle.current().pid());

    private DslRun() {}

    /** In memory where the system has such a folder: half of the time went into waiting for a disk. */
    private static String folder() {
        final String memory = "/dev/shm";
        return new File(memory).canWrite() ? memory : System.getProperty("java.io.tmpdir");
    }

    public static void main(final String[] args) throws IOException {
        // Warnings of skipped records are not what is compared.
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "error");
        final BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        final PrintStream out = Lines.out();
        List<String> topology = new ArrayList<>();
        List<String> steps = new ArrayList<>();
        List<String> part = topology;
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            switch (line) {
                case "input" -> part = steps;
                case "run" -> {
                    run(topology, steps, out);
                    out.println("end");
                    out.flush();
                    topology = new ArrayList<>();
                    steps = new ArrayList<>();
                    part = topology;
                }
                default -> part.add(line);
            }
        }
        Utils.delete(STATE);
    }

    private static void run(final List<String> lines, final List<String> steps, final PrintStream out) {
        try {
            final Topology topology = DslText.build(lines).build(DslText.optimization(lines));
            out.print(topology.describe());
            out.println("output");
            try (TopologyTestDriver driver = new TopologyTestDriver(topology, settings(lines), Instant.EPOCH)) {
                final Map<String, List<TestRecord<byte[], byte[]>>> logs = new HashMap<>();
                long now = 0;
                for (final String step : steps) {
                    final String[] words = step.split(" ");
                    now += words[0].equals("wait") ? Long.parseLong(words[1]) : 0;
                    if (words[0].equals("restart")) {
                        new Restart(driver).run(logs);
                    } else {
                        take(driver, words, logs);
                    }
                    out.println("step");
                    print(driver, now, out, logs);
                }
            }
        } catch (final RuntimeException error) {
            out.println("error " + error.toString().replace('\n', ' '));
        }
    }

    private static Properties settings(final List<String> lines) {
        final Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "app");
        settings.put(StreamsConfig.STATE_DIR_CONFIG, STATE.toString());
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, DslText.cacheBytes(lines));
        settings.put(StreamsConfig.DSL_STORE_SUPPLIERS_CLASS_CONFIG,
            BuiltInDslStoreSuppliers.InMemoryDslStoreSuppliers.class);
        settings.put(StreamsConfig.ROCKSDB_CONFIG_SETTER_CLASS_CONFIG, Small.class);
        return settings;
    }

    /** Versioned stores are on disk whatever is asked for; each case and restart opens them anew. */
    public static final class Small implements RocksDBConfigSetter {
        @Override
        public void setConfig(final String store, final Options options, final Map<String, Object> configs) {
            options.setWriteBufferSize(256 << 10);
            options.setAllowFAllocate(false);
            options.setInfoLogLevel(InfoLogLevel.FATAL_LEVEL);
        }

        @Override
        public void close(final String store, final Options options) {
        }
    }

    private static void take(
        final TopologyTestDriver driver, final String[] words,
        final Map<String, List<TestRecord<byte[], byte[]>>> logs) {
        if (words[0].equals("wait")) {
            driver.advanceWallClockTime(Duration.ofMillis(Long.parseLong(words[1])));
            return;
        }
        final TestRecord<byte[], byte[]> record = new TestRecord<>(
            bytes(words[2]), bytes(words[3]), headers(words[5]), Long.parseLong(words[4]));
        logs.computeIfAbsent(words[1], topic -> new ArrayList<>()).add(record);
        driver.createInputTopic(words[1], BYTES, BYTES).pipeInput(record);
    }

    /** A record without a time would get that of the producer's clock: {@code now}. */
    private static void print(
        final TopologyTestDriver driver, final long now, final PrintStream out,
        final Map<String, List<TestRecord<byte[], byte[]>>> logs) {
        for (final String topic : new TreeSet<>(driver.producedTopicNames())) {
            final TestOutputTopic<byte[], byte[]> from = driver.createOutputTopic(topic, READ, READ);
            while (!from.isEmpty()) {
                final TestRecord<byte[], byte[]> read = from.readRecord();
                final long time = read.timestamp() == null ? now : read.timestamp();
                out.println(topic + " " + Lines.hex(read.key()) + " " + Lines.hex(read.value()) + " " + time + " "
                    + Lines.headers(read.headers()));
                logs.computeIfAbsent(topic, name -> new ArrayList<>())
                    .add(new TestRecord<>(read.key(), read.value(), read.headers(), time));
            }
        }
    }

    private static byte[] bytes(final String hex) {
        return switch (hex) {
            case "-" -> null;
            case "_" -> new byte[0];
            default -> HexFormat.of().parseHex(hex);
        };
    }

    private static Headers headers(final String text) {
        final Headers headers = new RecordHeaders();
        if (!text.equals("-")) {
            for (final String header : text.split(";")) {
                final String[] pair = header.split("=", 2);
                headers.add(new String(bytes(pair[0]), StandardCharsets.UTF_8), bytes(pair[1]));
            }
        }
        return headers;
    }
}
