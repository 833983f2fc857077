package kstreams;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.test.TestRecord;

/**
 * One source, one processor, all stores connected to it, on the test driver. An operation is run inside
 * process() of a record with the timestamp and headers given, and what it logged is printed after it:
 *
 * <pre>changelog topic key value|- timestamp headers
 *partition key of-7 of-12</pre>
 *
 * The key is the changelog record's. Caches are off. The application id is "app".
 */
final class StoreRun implements AutoCloseable {
    /** What happens inside process(). It gives the text of its own line. */
    interface Operation {
        String apply();
    }

    private final Map<String, TestOutputTopic<byte[], byte[]>> topics = new HashMap<>();
    private final Map<String, StateStore> stores = new HashMap<>();
    private final PrintStream out;
    private final Path folder;
    private final TopologyTestDriver driver;
    private final TestInputTopic<byte[], byte[]> input;
    private Operation operation;
    private String line;

    StoreRun(final PrintStream out, final List<? extends StoreBuilder<?>> builders) throws IOException {
        this.out = out;
        folder = Files.createTempDirectory("kstreams-golden");
        final Topology topology = new Topology();
        topology.addSource("source", new ByteArrayDeserializer(), new ByteArrayDeserializer(), "operations");
        final List<String> names = new ArrayList<>();
        builders.forEach(builder -> names.add(builder.name()));
        topology.addProcessor("processor", () -> processor(names), "source");
        builders.forEach(store -> topology.addStateStore(store, "processor"));
        final Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, "app");
        config.put(StreamsConfig.STATE_DIR_CONFIG, folder.toString());
        driver = new TopologyTestDriver(topology, config, Instant.EPOCH);
        input = driver.createInputTopic("operations", new ByteArraySerializer(), new ByteArraySerializer());
    }

    private ContextualProcessor<byte[], byte[], Void, Void> processor(final List<String> names) {
        return new ContextualProcessor<>() {
            @Override
            public void init(final ProcessorContext<Void, Void> context) {
                // Not from the driver: asking it for a store replaces the record context by one of time 0.
                names.forEach(name -> stores.put(name, context.getStateStore(name)));
            }

            @Override
            public void process(final Record<byte[], byte[]> record) {
                line = operation.apply();
            }
        };
    }

    /** The store as the processor got it in init(). */
    @SuppressWarnings("unchecked")
    <S extends StateStore> S store(final String name) {
        return (S) stores.get(name);
    }

    /** Runs an operation; prints its line and everything that it logged. */
    void run(final long timestamp, final Headers headers, final Operation next) {
        operation = next;
        input.pipeInput(new TestRecord<>(new byte[0], new byte[0], headers, timestamp));
        out.println(line);
        for (final String topic : new TreeSet<>(driver.producedTopicNames())) {
            final TestOutputTopic<byte[], byte[]> output = topics.computeIfAbsent(topic, name ->
                driver.createOutputTopic(name, new ByteArrayDeserializer(), new ByteArrayDeserializer()));
            for (final TestRecord<byte[], byte[]> record : output.readRecordsToList()) {
                final String key = Lines.hex(record.key());
                out.println("changelog " + topic + " " + key + " " + Lines.hex(record.value()) + " "
                    + record.timestamp() + " " + Lines.headers(record.headers()));
                out.println("partition " + key + " " + GoldenPartitions.of(record.key(), 7) + " "
                    + GoldenPartitions.of(record.key(), 12));
            }
        }
    }

    /** The records that were dropped so far, as the task's metric counts them. */
    long dropped() {
        return driver.metrics().entrySet().stream()
            .filter(metric -> metric.getKey().name().equals("dropped-records-total"))
            .mapToLong(metric -> ((Number) metric.getValue().metricValue()).longValue()).sum();
    }

    @Override
    public void close() throws IOException {
        driver.close();
        try (Stream<Path> paths = Files.walk(folder)) {
            paths.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
        }
    }
}
