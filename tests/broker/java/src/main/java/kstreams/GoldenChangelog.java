package kstreams;

import java.io.IOException;
import java.io.PrintStream;
import java.util.List;
import java.util.Random;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.ValueAndTimestamp;
import org.apache.kafka.streams.state.ValueTimestampHeaders;
import org.apache.kafka.streams.state.internals.ValueAndTimestampSerde;
import org.apache.kafka.streams.state.internals.ValueTimestampHeadersSerde;

/**
 * Key-value stores and their changelogs, plain (kv), with timestamps (tkv) and with headers (hkv), each in
 * memory and on disk. Prints n operations, each followed by what it logged (see StoreRun):
 *
 * <pre>put         store key value|- ts value-ts|- value-headers record-headers -
 *putIfAbsent store key value   ts value-ts|- value-headers record-headers old-value|-
 *delete      store key -       ts -          -             record-headers old-value|-</pre>
 *
 * then what all() gives at the end, in its order, and n values as they lie in a store:
 *
 * <pre>content store key value value-ts|- value-headers
 *valuets ts plain stored
 *valuetsheaders ts headers plain stored</pre>
 *
 * <p>Arguments: seed, n.
 */
public final class GoldenChangelog {
    private static final String[] STORES =
        {"kv-memory", "kv-disk", "tkv-memory", "tkv-disk", "hkv-memory", "hkv-disk"};
    private static final String[] KEYS = {"a", "b", "bb", "c", "", "\u00e9", "\u4e2d\u56fd", "key-7", "key-8", "zz"};

    private GoldenChangelog() {}

    public static void main(final String[] args) throws IOException {
        final Random random = new Random(Long.parseLong(args[0]));
        final int count = Integer.parseInt(args[1]);
        try (PrintStream out = Lines.out()) {
            try (StoreRun run = new StoreRun(out, stores())) {
                for (int op = 0; op < count; op++) {
                    operation(run, random);
                }
                for (final String store : STORES) {
                    content(out, store, run.store(store));
                }
            }
            for (int value = 0; value < count; value++) {
                stored(out, random);
            }
        }
    }

    private static List<StoreBuilder<?>> stores() {
        final var text = Serdes.String();
        return List.of(
            Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore("kv-memory"), text, text),
            Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("kv-disk"), text, text),
            Stores.timestampedKeyValueStoreBuilder(
                Stores.inMemoryKeyValueStore("tkv-memory"), text, text),
            Stores.timestampedKeyValueStoreBuilder(
                Stores.persistentTimestampedKeyValueStore("tkv-disk"), text, text),
            Stores.timestampedKeyValueStoreWithHeadersBuilder(
                Stores.inMemoryKeyValueStore("hkv-memory"), text, text),
            Stores.timestampedKeyValueStoreWithHeadersBuilder(
                Stores.persistentTimestampedKeyValueStoreWithHeaders("hkv-disk"), text, text));
    }

    private static void operation(final StoreRun run, final Random random) {
        final String store = STORES[random.nextInt(STORES.length)];
        final String key = KEYS[random.nextInt(KEYS.length)];
        // Timestamps go back and forth, as late records do.
        final long timestamp = 1_000_000 + random.nextInt(100_000);
        final long valueTimestamp = 2_000_000 + random.nextInt(100_000);
        final Headers recordHeaders = Lines.headers(random);
        final Headers valueHeaders = Lines.headers(random);
        final int choice = random.nextInt(10);
        final String text = choice >= 8 ? null : Lines.string(random, 8);
        final String name = choice == 9 ? "delete" : choice >= 6 && choice < 8 ? "putIfAbsent" : "put";
        final Object value = value(store, text, valueTimestamp, valueHeaders);
        run.run(timestamp, recordHeaders, () -> {
            final KeyValueStore<String, Object> target = run.store(store);
            Object old = null;
            switch (name) {
                case "put" -> target.put(key, value);
                case "putIfAbsent" -> old = target.putIfAbsent(key, value);
                default -> old = target.delete(key);
            }
            return name + " " + store + " " + Lines.hex(key) + " " + Lines.hex(text) + " " + timestamp + " "
                + timestamp(value) + " " + Lines.headers(headers(value)) + " "
                + Lines.headers(recordHeaders) + " " + Lines.hex(plain(old));
        });
    }

    private static void content(
        final PrintStream out, final String name, final KeyValueStore<String, Object> store
    ) {
        try (KeyValueIterator<String, Object> all = store.all()) {
            while (all.hasNext()) {
                final KeyValue<String, Object> row = all.next();
                out.println("content " + name + " " + Lines.hex(row.key) + " " + Lines.hex(plain(row.value))
                    + " " + timestamp(row.value) + " " + Lines.headers(headers(row.value)));
            }
        }
    }

    private static void stored(final PrintStream out, final Random random) {
        final String plain = Lines.string(random, 8);
        final long timestamp = random.nextInt(4) == 0 ? random.nextInt(3) : random.nextLong() >>> 1;
        final Headers headers = Lines.headers(random);
        try (var stamped = new ValueAndTimestampSerde<>(Serdes.String());
             var withHeaders = new ValueTimestampHeadersSerde<>(Serdes.String())) {
            out.println("valuets " + timestamp + " " + Lines.hex(plain) + " "
                + Lines.hex(stamped.serializer().serialize("topic", ValueAndTimestamp.make(plain, timestamp))));
            final byte[] stored = withHeaders.serializer()
                .serialize("topic", ValueTimestampHeaders.make(plain, timestamp, headers));
            out.println("valuetsheaders " + timestamp + " " + Lines.headers(headers) + " " + Lines.hex(plain)
                + " " + Lines.hex(stored));
        }
    }

    private static Object value(
        final String store, final String text, final long timestamp, final Headers headers
    ) {
        return switch (store.substring(0, store.indexOf('-'))) {
            case "kv" -> text;
            case "tkv" -> ValueAndTimestamp.make(text, timestamp);
            default -> ValueTimestampHeaders.make(text, timestamp, headers);
        };
    }

    private static String plain(final Object value) {
        if (value instanceof ValueAndTimestamp<?> stamped) {
            return (String) stamped.value();
        }
        return value instanceof ValueTimestampHeaders<?> full ? (String) full.value() : (String) value;
    }

    private static String timestamp(final Object value) {
        if (value instanceof ValueAndTimestamp<?> stamped) {
            return String.valueOf(stamped.timestamp());
        }
        return value instanceof ValueTimestampHeaders<?> full ? String.valueOf(full.timestamp()) : "-";
    }

    private static Headers headers(final Object value) {
        return value instanceof ValueTimestampHeaders<?> full ? full.headers() : null;
    }
}
