package kstreams;

import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.InvalidStateStoreException;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.kstream.internals.SessionWindow;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreType;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.TimestampedKeyValueStore;
import org.apache.kafka.streams.state.ValueAndTimestamp;
import org.apache.kafka.streams.state.WindowStore;

/**
 * An application on a real broker that writes what it reads into one store of each kind, under exactly-once.
 * It runs until its key-value store holds "end-0" and "end-1", one from each partition, whether it has processed
 * those records or restored them; then it prints how many records it restored, and what the stores hold:
 *
 * <pre>restored store n
 *kv key value
 *tkv key value value-ts
 *window key value start
 *session key value start end</pre>
 *
 * <p>Arguments: bootstrap servers, application id, topic.
 */
public final class StoreApp {
    static final Duration RETENTION = Duration.ofHours(10);
    static final Duration SIZE = Duration.ofSeconds(1);
    private static final Duration DEADLINE = Duration.ofSeconds(60);

    private StoreApp() {}

    public static void main(final String[] args) throws Exception {
        final Path folder = Files.createTempDirectory("kstreams-store-app");
        final Properties config = new Properties();
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[1]);
        config.put(StreamsConfig.STATE_DIR_CONFIG, folder.toString());
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put("auto.offset.reset", "earliest");
        try (PrintStream out = Lines.out(); KafkaStreams streams = new KafkaStreams(topology(args[2]), config)) {
            streams.setGlobalStateRestoreListener(listener(out));
            streams.start();
            awaitEnd(streams);
            content(out, streams);
            streams.close(CloseOptions
                .groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP)
                .withTimeout(DEADLINE));
        }
    }

    private static Topology topology(final String topic) {
        final var text = Serdes.String();
        final List<StoreBuilder<?>> stores = List.of(
            Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("kv"), text, text),
            Stores.timestampedKeyValueStoreBuilder(
                Stores.persistentTimestampedKeyValueStore("tkv"), text, text),
            Stores.windowStoreBuilder(
                Stores.persistentWindowStore("window", RETENTION, SIZE, false), text, text),
            Stores.sessionStoreBuilder(Stores.persistentSessionStore("session", RETENTION), text, text));
        final Topology topology = new Topology();
        topology.addSource("source", new StringDeserializer(), new StringDeserializer(), topic);
        topology.addProcessor("write", Write::new, "source");
        stores.forEach(store -> topology.addStateStore(store, "write"));
        return topology;
    }

    /** One record, written to every store. */
    private static final class Write extends ContextualProcessor<String, String, Void, Void> {
        private KeyValueStore<String, String> plain;
        private TimestampedKeyValueStore<String, String> stamped;
        private WindowStore<String, String> window;
        private SessionStore<String, String> session;

        @Override
        public void init(final ProcessorContext<Void, Void> context) {
            super.init(context);
            plain = context.getStateStore("kv");
            stamped = context.getStateStore("tkv");
            window = context.getStateStore("window");
            session = context.getStateStore("session");
        }

        @Override
        public void process(final Record<String, String> record) {
            final String key = record.key();
            final String value = record.value();
            final long time = record.timestamp();
            plain.put(key, value);
            stamped.put(key, ValueAndTimestamp.make(value, time));
            window.put(key, value, time - time % SIZE.toMillis());
            final Windowed<String> span = new Windowed<>(key, new SessionWindow(time - time % 500, time));
            if (value == null) {
                session.remove(span);
            } else {
                session.put(span, value);
            }
        }
    }

    private static void awaitEnd(final KafkaStreams streams) throws InterruptedException {
        final Instant deadline = Instant.now().plus(DEADLINE);
        while (true) {
            try {
                final var store = store(streams, "kv", QueryableStoreTypes.<String, String>keyValueStore());
                final boolean running = streams.state() == KafkaStreams.State.RUNNING;
                if (running && store.get("end-0") != null && store.get("end-1") != null) {
                    return;
                }
            } catch (final InvalidStateStoreException starting) {
                // Not assigned or not restored yet.
            }
            if (Instant.now().isAfter(deadline)) {
                throw new IllegalStateException("no end in time; the state is " + streams.state());
            }
            Thread.sleep(20);
        }
    }

    private static <T> T store(final KafkaStreams streams, final String name, final QueryableStoreType<T> type) {
        return streams.store(StoreQueryParameters.fromNameAndType(name, type));
    }

    private static void content(final PrintStream out, final KafkaStreams streams) {
        final var text = QueryableStoreTypes.<String, String>keyValueStore();
        final var stamped = QueryableStoreTypes.<String, String>timestampedKeyValueStore();
        final var windows = QueryableStoreTypes.<String, String>windowStore();
        final var sessions = QueryableStoreTypes.<String, String>sessionStore();
        try (KeyValueIterator<String, String> all = store(streams, "kv", text).all()) {
            all.forEachRemaining(row -> out.println("kv " + text(row.key, row.value)));
        }
        try (KeyValueIterator<String, ValueAndTimestamp<String>> all = store(streams, "tkv", stamped).all()) {
            all.forEachRemaining(row ->
                out.println("tkv " + text(row.key, row.value.value()) + " " + row.value.timestamp()));
        }
        try (KeyValueIterator<Windowed<String>, String> all = store(streams, "window", windows).all()) {
            all.forEachRemaining(row -> out.println("window " + windowed(row) + row.key.window().start()));
        }
        try (KeyValueIterator<Windowed<String>, String> all = store(streams, "session", sessions).fetch(null, null)) {
            all.forEachRemaining(row -> out.println("session " + windowed(row)
                + row.key.window().start() + " " + row.key.window().end()));
        }
    }

    private static String windowed(final KeyValue<Windowed<String>, String> row) {
        return text(row.key.key(), row.value) + " ";
    }

    private static String text(final String key, final String value) {
        return Lines.hex(key) + " " + Lines.hex(value);
    }

    private static StateRestoreListener listener(final PrintStream out) {
        return new StateRestoreListener() {
            @Override
            public void onRestoreStart(
                final TopicPartition partition, final String store, final long from, final long to
            ) {}

            @Override
            public void onBatchRestored(
                final TopicPartition partition, final String store, final long to, final long count
            ) {}

            @Override
            public void onRestoreEnd(final TopicPartition partition, final String store, final long count) {
                synchronized (out) {
                    out.println("restored " + store + " " + count);
                }
            }
        };
    }
}
