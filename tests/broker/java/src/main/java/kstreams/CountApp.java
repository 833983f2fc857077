package kstreams;

import java.util.Properties;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Counts records per key in RocksDB under exactly-once, until it is killed; one thread. Tells what it does, each
 * line with the time in milliseconds:
 *
 * <pre>ms started
 *ms restoring store partition from to
 *ms restored store partition n
 *ms state NAME</pre>
 *
 * <p>Arguments: bootstrap servers, application id, input topic, output topic, state directory, session time-out
 * in milliseconds.
 */
public final class CountApp {
    private CountApp() {}

    public static void main(final String[] args) throws Exception {
        say("started");
        final Properties config = new Properties();
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[1]);
        config.put(StreamsConfig.STATE_DIR_CONFIG, args[4]);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put("auto.offset.reset", "earliest");
        config.put("session.timeout.ms", args[5]);
        config.put("heartbeat.interval.ms", String.valueOf(Integer.parseInt(args[5]) / 3));
        final StreamsBuilder builder = new StreamsBuilder();
        builder.stream(args[2], Consumed.with(Serdes.String(), Serdes.String()))
            .groupByKey(Grouped.with(Serdes.String(), Serdes.String()))
            .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("counts").withCachingDisabled())
            .toStream()
            .to(args[3], Produced.with(Serdes.String(), Serdes.Long()));
        final KafkaStreams streams = new KafkaStreams(builder.build(), config);
        streams.setGlobalStateRestoreListener(new Restore());
        streams.setStateListener((now, before) -> say("state " + now));
        streams.start();
        // Until the other end of stdin is gone.
        while (System.in.read() != -1) {
            say("unexpected input");
        }
        Runtime.getRuntime().halt(0);
    }

    private static synchronized void say(final String text) {
        System.out.println(System.currentTimeMillis() + " " + text);
        System.out.flush();
    }

    private static final class Restore implements StateRestoreListener {
        @Override
        public void onRestoreStart(
            final TopicPartition partition, final String store, final long from, final long to
        ) {
            say("restoring " + store + " " + partition.partition() + " " + from + " " + to);
        }

        @Override
        public void onBatchRestored(
            final TopicPartition partition, final String store, final long to, final long count
        ) {}

        @Override
        public void onRestoreEnd(final TopicPartition partition, final String store, final long count) {
            say("restored " + store + " " + partition.partition() + " " + count);
        }
    }
}
