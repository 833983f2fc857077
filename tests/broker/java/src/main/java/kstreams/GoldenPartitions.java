package kstreams;

import java.io.PrintStream;
import java.util.Random;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.streams.processor.internals.DefaultStreamPartitioner;

/**
 * Where keys go: prints "key murmur2 partition-of-7 partition-of-12" for random keys of 0 to 64 bytes.
 * The partitions come from the partitioner that sinks use.
 *
 * <p>Arguments: seed, number of lines.
 */
public final class GoldenPartitions {
    private static final DefaultStreamPartitioner<byte[], byte[]> PARTITIONER =
        new DefaultStreamPartitioner<>(new ByteArraySerializer());

    private GoldenPartitions() {}

    public static void main(final String[] args) {
        final Random random = new Random(Long.parseLong(args[0]));
        try (PrintStream out = Lines.out()) {
            for (int line = Integer.parseInt(args[1]); line > 0; line--) {
                final byte[] key = Lines.bytes(random, 64);
                out.println(Lines.hex(key) + " " + Utils.murmur2(key) + " " + of(key, 7) + " " + of(key, 12));
            }
        }
    }

    static int of(final byte[] key, final int partitions) {
        return PARTITIONER.partitions("topic", key, null, partitions).orElseThrow().iterator().next();
    }
}
