package kstreams;

import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * A shop in the Streams DSL on a real broker, under exactly-once: joins of streams, of a stream with a table and
 * on a foreign key, windowed aggregates and a suppression. Runs until stdin ends, then closes.
 *
 * <p>Arguments: bootstrap servers, application id, prefix of the input topics, group protocol, state directory.
 * Outputs begin with the application id. Some nodes have names and some have Java's numbers.
 */
public final class RelayApp {
    private static final Serde<String> TEXT = Serdes.String();

    private RelayApp() {}

    public static void main(final String[] args) throws Exception {
        final Properties config = new Properties();
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[1]);
        config.put(StreamsConfig.STATE_DIR_CONFIG, args[4]);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, "0");
        config.put(StreamsConfig.GROUP_PROTOCOL_CONFIG, args[3]);
        // What it reads again is compared at the end.
        config.put(StreamsConfig.REPARTITION_PURGE_INTERVAL_MS_CONFIG, 3_600_000L);
        config.put("auto.offset.reset", "earliest");
        try (KafkaStreams streams = new KafkaStreams(topology(args[1], args[2]), config)) {
            streams.setStateListener((now, before) -> System.out.println("state " + now));
            streams.start();
            while (System.in.read() != -1) {
                System.out.println("unexpected input");
            }
            streams.close(CloseOptions
                .groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP)
                .withTimeout(Duration.ofSeconds(60)));
        }
    }

    private static Topology topology(final String app, final String in) {
        final StreamsBuilder builder = new StreamsBuilder();
        final Consumed<String, String> texts = Consumed.with(TEXT, TEXT);
        final Produced<String, String> toTexts = Produced.with(TEXT, TEXT);
        final Produced<String, Long> toCounts = Produced.with(TEXT, Serdes.Long());
        final KStream<String, String> orders = builder.stream(in + "-orders", texts);
        final KStream<String, String> payments = builder.stream(in + "-payments", texts);
        final KTable<String, String> customers = builder.table(in + "-customers", texts, kept("customers"));

        orders.leftJoin(
                payments,
                (order, payment) -> order + " by " + payment,
                JoinWindows.ofTimeDifferenceAndGrace(Duration.ofSeconds(10), Duration.ofSeconds(5)),
                StreamJoined.with(TEXT, TEXT, TEXT).withName("paid"))
            .to(app + "-paid", toTexts);
        orders.join(customers, (order, customer) -> order + " for " + customer, Joined.with(TEXT, TEXT, TEXT))
            .to(app + "-enriched", toTexts);
        orders.groupByKey(Grouped.with(TEXT, TEXT))
            .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofSeconds(30), Duration.ofSeconds(5)))
            .count(Materialized.as("per-half-minute"))
            .suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()).withName("final"))
            .toStream()
            .map((of, n) -> KeyValue.pair(of.key() + " " + of.window().start(), n))
            .to(app + "-half-minutes", toCounts);
        orders.groupByKey(Grouped.with(TEXT, TEXT))
            .windowedBy(SessionWindows.ofInactivityGapAndGrace(Duration.ofSeconds(20), Duration.ofSeconds(5)))
            .count(Materialized.as("visits"))
            .toStream()
            .map((of, n) -> KeyValue.pair(of.key() + " " + of.window().start() + " " + of.window().end(), n))
            .to(app + "-visits", toCounts);
        orders.groupBy((customer, order) -> article(order), Grouped.with(TEXT, TEXT))
            .count(Materialized.as("sold"))
            .toStream()
            .to(app + "-sold", toCounts);

        final KTable<String, String> baskets = builder.table(in + "-baskets", texts, kept("baskets"));
        final KTable<String, String> prices = builder.table(in + "-prices", texts, kept("prices"));
        baskets.join(
                prices,
                RelayApp::article,
                (basket, price) -> basket + " at " + price,
                Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as("priced")
                    .withKeySerde(TEXT).withValueSerde(TEXT))
            .toStream()
            .to(app + "-priced", toTexts);
        baskets.groupBy((id, basket) -> KeyValue.pair(article(basket), basket), Grouped.with(TEXT, TEXT))
            .count(Materialized.as("held"))
            .toStream()
            .to(app + "-held", toCounts);
        return builder.build();
    }

    private static Materialized<String, String, KeyValueStore<Bytes, byte[]>> kept(final String name) {
        return Materialized.as(name);
    }

    /** The first word. */
    private static String article(final String value) {
        final int blank = value.indexOf(' ');
        return blank < 0 ? value : value.substring(0, blank);
    }
}
