package kstreams;

import java.io.IOException;
import java.io.PrintStream;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.kstream.SessionWindowedSerializer;
import org.apache.kafka.streams.kstream.TimeWindowedSerializer;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.kstream.internals.SessionWindow;
import org.apache.kafka.streams.kstream.internals.TimeWindow;
import org.apache.kafka.streams.state.AggregationWithHeaders;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.ValueAndTimestamp;
import org.apache.kafka.streams.state.ValueTimestampHeaders;
import org.apache.kafka.streams.state.VersionedKeyValueStore;
import org.apache.kafka.streams.state.VersionedRecord;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Window, session and versioned stores and their changelogs. Retention is RETENTION, windows are SIZE
 * long, stream time moves far enough for old entries to expire. Prints n operations, each followed by what
 * it logged (see StoreRun):
 *
 * <pre>wput    store key value|- start ts value-ts|-     window stores: win, dup (keeps duplicates), twin, hwin
 *sput    store key value|- start end ts
 *sremove store key - start end ts                 both with value-headers and record-headers at the end for
 *                                                 stores with headers: hwin, hsession
 *vput    store key value|- valid-from ts valid-to   what put returned: -1 = until now, MIN = refused
 *vdelete store key - valid-from ts old-value|- old-from|-
 *vget    store key as-of ts value|- from|- to|-</pre>
 *
 * then what the stores give at the end, in their order, and n windowed keys of each kind as they are
 * written to user topics, with the inner key alone (which decides the partition):
 *
 * <pre>wrow store key value value-ts|- start
 *srow store key value start end
 *vrow store key value from to|-
 *dropped n                                        records that were too old, in all stores
 *timewindowed key start end bytes base
 *sessionwindowed key start end bytes base</pre>
 *
 * <p>Arguments: seed, n.
 */
public final class GoldenStores {
    static final Duration RETENTION = Duration.ofMinutes(4);
    static final Duration SIZE = Duration.ofSeconds(10);
    private static final String[] STORES = {
        "win-memory", "win-disk", "dup-memory", "dup-disk", "twin-memory", "twin-disk", "session-memory",
        "session-disk", "versioned-disk", "hwin-memory", "hwin-disk", "hsession-memory", "hsession-disk",
    };
    private static final String[] KEYS = {"a", "b", "bb", "", "\u00e9", "key-7"};

    private final PrintStream out;
    private final Random random;
    private final StoreRun run;
    private long now = 10_000_000;

    private GoldenStores(final PrintStream out, final Random random) throws IOException {
        this.out = out;
        this.random = random;
        run = new StoreRun(out, stores());
    }

    public static void main(final String[] args) throws IOException {
        final int count = Integer.parseInt(args[1]);
        try (PrintStream out = Lines.out()) {
            final GoldenStores golden = new GoldenStores(out, new Random(Long.parseLong(args[0])));
            try (StoreRun run = golden.run) {
                for (int op = 0; op < count; op++) {
                    golden.operation();
                }
                for (final String store : STORES) {
                    golden.content(store);
                }
                golden.out.println("dropped " + run.dropped());
            }
            for (int key = 0; key < count; key++) {
                golden.windowed();
            }
        }
    }

    private static List<StoreBuilder<?>> stores() {
        final var text = Serdes.String();
        return List.of(
            Stores.windowStoreBuilder(
                Stores.inMemoryWindowStore("win-memory", RETENTION, SIZE, false), text, text),
            Stores.windowStoreBuilder(
                Stores.persistentWindowStore("win-disk", RETENTION, SIZE, false), text, text),
            Stores.windowStoreBuilder(
                Stores.inMemoryWindowStore("dup-memory", RETENTION, SIZE, true), text, text),
            Stores.windowStoreBuilder(
                Stores.persistentWindowStore("dup-disk", RETENTION, SIZE, true), text, text),
            Stores.timestampedWindowStoreBuilder(
                Stores.inMemoryWindowStore("twin-memory", RETENTION, SIZE, false), text, text),
            Stores.timestampedWindowStoreBuilder(
                Stores.persistentTimestampedWindowStore("twin-disk", RETENTION, SIZE, false), text, text),
            Stores.sessionStoreBuilder(Stores.inMemorySessionStore("session-memory", RETENTION), text, text),
            Stores.sessionStoreBuilder(Stores.persistentSessionStore("session-disk", RETENTION), text, text),
            Stores.versionedKeyValueStoreBuilder(
                Stores.persistentVersionedKeyValueStore("versioned-disk", RETENTION), text, text),
            Stores.timestampedWindowStoreWithHeadersBuilder(
                Stores.inMemoryWindowStore("hwin-memory", RETENTION, SIZE, false), text, text),
            Stores.timestampedWindowStoreWithHeadersBuilder(
                Stores.persistentTimestampedWindowStoreWithHeaders("hwin-disk", RETENTION, SIZE, false),
                text, text),
            Stores.sessionStoreWithHeadersBuilder(
                Stores.inMemorySessionStore("hsession-memory", RETENTION), text, text),
            Stores.sessionStoreWithHeadersBuilder(
                Stores.persistentSessionStoreWithHeaders("hsession-disk", RETENTION), text, text));
    }

    private void operation() {
        now += random.nextInt(15_000);
        final String store = STORES[random.nextInt(STORES.length)];
        final String key = KEYS[random.nextInt(KEYS.length)];
        final String value = random.nextInt(5) == 0 ? null : Lines.string(random, 8);
        // One in six lies further back than the retention.
        final long back = random.nextInt(6) == 0 ? 300_000 + random.nextInt(300_000) : random.nextInt(60_000);
        final long start = now - back;
        final String head = " " + store + " " + Lines.hex(key) + " ";
        switch (store.substring(0, store.indexOf('-'))) {
            case "win", "dup", "twin", "hwin" -> window(store, head, key, value, start);
            case "session", "hsession" -> session(store, head, key, value, start);
            default -> versioned(store, head, key, value, start);
        }
    }

    private void window(
        final String store, final String head, final String key, final String value, final long start
    ) {
        final long valueTimestamp = start + random.nextInt(5_000);
        final Headers own = headers(store);
        final Headers record = headers(store);
        final Object stored = store.startsWith("twin") ? ValueAndTimestamp.make(value, valueTimestamp)
            : store.startsWith("hwin") ? ValueTimestampHeaders.make(value, valueTimestamp, own) : value;
        run.run(now, record, () -> {
            run.<WindowStore<String, Object>>store(store).put(key, stored, start);
            return "wput" + head + Lines.hex(value) + " " + start + " " + now + " " + timestamp(stored)
                + headers(store, own, record);
        });
    }

    private void session(
        final String store, final String head, final String key, final String value, final long start
    ) {
        final long end = start + random.nextInt(20_000);
        final Windowed<String> windowed = new Windowed<>(key, new SessionWindow(start, end));
        final boolean remove = random.nextInt(6) == 0;
        final Headers own = headers(store);
        final Headers record = headers(store);
        final String times = " " + start + " " + end + " " + now + headers(store, own, record);
        final Object stored = store.startsWith("hsession") ? AggregationWithHeaders.make(value, own) : value;
        run.run(now, record, () -> {
            final SessionStore<String, Object> target = run.store(store);
            if (remove) {
                target.remove(windowed);
                return "sremove" + head + "-" + times;
            }
            target.put(windowed, stored);
            return "sput" + head + Lines.hex(value) + times;
        });
    }

    private void versioned(
        final String store, final String head, final String key, final String value, final long from
    ) {
        final int choice = random.nextInt(8);
        operate(() -> {
            final VersionedKeyValueStore<String, String> target = run.store(store);
            final String times = " " + from + " " + now + " ";
            if (choice == 0) {
                final VersionedRecord<String> old = target.delete(key, from);
                return "vdelete" + head + "-" + times
                    + (old == null ? "- -" : Lines.hex(old.value()) + " " + old.timestamp());
            }
            if (choice == 1) {
                final VersionedRecord<String> found = target.get(key, from);
                return "vget" + head + from + " " + now + " " + (found == null ? "- - -" : version(found));
            }
            return "vput" + head + Lines.hex(value) + times + target.put(key, value, from);
        });
    }

    private void operate(final StoreRun.Operation operation) {
        run.run(now, new RecordHeaders(), operation);
    }

    private void content(final String name) {
        final String head = "row " + name + " ";
        switch (name.substring(0, name.indexOf('-'))) {
            case "session", "hsession" -> {
                final SessionStore<String, Object> store = run.store(name);
                for (final String key : KEYS) {
                    try (KeyValueIterator<Windowed<String>, Object> rows = store.fetch(key)) {
                        rows.forEachRemaining(row -> out.println("s" + head + Lines.hex(key) + " "
                            + Lines.hex(plain(row.value)) + " " + row.key.window().start() + " "
                            + row.key.window().end()));
                    }
                }
            }
            case "versioned" -> {
                final VersionedKeyValueStore<String, String> store = run.store(name);
                for (final String key : KEYS) {
                    final VersionedRecord<String> found = store.get(key);
                    if (found != null) {
                        out.println("v" + head + Lines.hex(key) + " " + version(found));
                    }
                }
            }
            default -> {
                final WindowStore<String, Object> store = run.store(name);
                try (KeyValueIterator<Windowed<String>, Object> rows = store.all()) {
                    while (rows.hasNext()) {
                        final KeyValue<Windowed<String>, Object> row = rows.next();
                        out.println("w" + head + Lines.hex(row.key.key()) + " " + Lines.hex(plain(row.value))
                            + " " + timestamp(row.value) + " " + row.key.window().start());
                    }
                }
            }
        }
    }

    private void windowed() {
        final String key = Lines.string(random, 8);
        final long start = random.nextLong() >>> (1 + random.nextInt(40));
        final long end = start + SIZE.toMillis() < 0 ? Long.MAX_VALUE : start + SIZE.toMillis();
        final var time = new TimeWindowedSerializer<>(new StringSerializer());
        final var session = new SessionWindowedSerializer<>(new StringSerializer());
        final var inTime = new Windowed<>(key, new TimeWindow(start, end));
        final var inSession = new Windowed<>(key, new SessionWindow(start, end));
        final String head = "windowed " + Lines.hex(key) + " " + start + " " + end + " ";
        out.println("time" + head + Lines.hex(time.serialize("topic", inTime)) + " "
            + Lines.hex(time.serializeBaseKey("topic", inTime)));
        out.println("session" + head + Lines.hex(session.serialize("topic", inSession)) + " "
            + Lines.hex(session.serializeBaseKey("topic", inSession)));
    }

    private static String version(final VersionedRecord<String> found) {
        final String to = found.validTo().map(String::valueOf).orElse("-");
        return Lines.hex(found.value()) + " " + found.timestamp() + " " + to;
    }

    private Headers headers(final String store) {
        return store.startsWith("h") ? Lines.headers(random) : new RecordHeaders();
    }

    private static String headers(final String store, final Headers own, final Headers record) {
        return store.startsWith("h") ? " " + Lines.headers(own) + " " + Lines.headers(record) : "";
    }

    private static String plain(final Object value) {
        if (value instanceof ValueTimestampHeaders<?> full) {
            return (String) full.value();
        }
        if (value instanceof AggregationWithHeaders<?> session) {
            return (String) session.aggregation();
        }
        return (String) (value instanceof ValueAndTimestamp<?> stamped ? stamped.value() : value);
    }

    private static String timestamp(final Object value) {
        if (value instanceof ValueTimestampHeaders<?> full) {
            return String.valueOf(full.timestamp());
        }
        return value instanceof ValueAndTimestamp<?> stamped ? String.valueOf(stamped.timestamp()) : "-";
    }
}
