package kstreams;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.StringJoiner;
import java.util.UUID;
import java.util.function.Function;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;

/**
 * What the built-in serdes write: prints "type value bytes", n lines for each type.
 *
 * <p>Values: strings and raw bytes as the hex of their UTF-8 or themselves, other values as Java prints
 * them (floats as Double.toString and Float.toString), lists as "[a,b,-]" with "-" for a null item, a null
 * value as "-".
 *
 * <p>Arguments: seed, number of lines per type.
 */
public final class GoldenSerdes {
    private static final double[] DOUBLES = {
        0.0, -0.0, Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, Double.MIN_VALUE,
        Double.MAX_VALUE, 1.0,
    };

    private final Random random;
    private final int count;
    private final PrintStream out;

    private GoldenSerdes(final Random random, final int count, final PrintStream out) {
        this.random = random;
        this.count = count;
        this.out = out;
    }

    public static void main(final String[] args) {
        final Random random = new Random(Long.parseLong(args[0]));
        try (PrintStream out = Lines.out()) {
            new GoldenSerdes(random, Integer.parseInt(args[1]), out).print();
        }
    }

    private void print() {
        type("String", Serdes.String(), r -> Lines.string(r, 20), Lines::hex);
        type("Integer", Serdes.Integer(), GoldenSerdes::integer, String::valueOf);
        type("Long", Serdes.Long(), GoldenSerdes::number, String::valueOf);
        type("Short", Serdes.Short(), r -> (short) r.nextInt(), String::valueOf);
        type("Double", Serdes.Double(), GoldenSerdes::fraction, String::valueOf);
        type("Float", Serdes.Float(), r -> (float) fraction(r), String::valueOf);
        type("UUID", Serdes.UUID(), r -> new UUID(r.nextLong(), r.nextLong()), UUID::toString);
        type("Boolean", Serdes.Boolean(), Random::nextBoolean, String::valueOf);
        type("Bytes", Serdes.Bytes(), r -> Bytes.wrap(Lines.bytes(r, 20)), b -> Lines.hex(b.get()));
        type("ByteArray", Serdes.ByteArray(), r -> Lines.bytes(r, 20), Lines::hex);
        type("Void", Serdes.Void(), r -> null, String::valueOf);
        type("ListInteger", lists(Serdes.Integer()),
            r -> list(r, GoldenSerdes::integer), list -> text(list, String::valueOf));
        type("ListLong", lists(Serdes.Long()),
            r -> list(r, GoldenSerdes::number), list -> text(list, String::valueOf));
        type("ListString", lists(Serdes.String()),
            r -> list(r, x -> Lines.string(x, 6)), list -> text(list, Lines::hex));
    }

    private <T> void type(
        final String name, final Serde<T> serde, final Function<Random, T> value, final Function<T, String> text
    ) {
        for (int line = 0; line < count; line++) {
            final T next = value.apply(random);
            final byte[] bytes = serde.serializer().serialize("topic", next);
            out.println(name + " " + (next == null ? "-" : text.apply(next)) + " " + Lines.hex(bytes));
        }
    }

    /** Java cannot name the class of a list of T, so the raw one stands in. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    private static <T> Serde<List<T>> lists(final Serde<T> item) {
        return Serdes.ListSerde((Class) ArrayList.class, item);
    }

    private static int integer(final Random random) {
        return random.nextInt() >> random.nextInt(32);
    }

    private static long number(final Random random) {
        return random.nextLong() >> random.nextInt(64);
    }

    private static double fraction(final Random random) {
        return switch (random.nextInt(3)) {
            case 0 -> DOUBLES[random.nextInt(DOUBLES.length)];
            case 1 -> random.nextGaussian() * 1000;
            default -> Double.longBitsToDouble(random.nextLong());
        };
    }

    private static <T> List<T> list(final Random random, final Function<Random, T> item) {
        final List<T> list = new ArrayList<>();
        for (int length = random.nextInt(6); length > 0; length--) {
            list.add(random.nextInt(4) == 0 ? null : item.apply(random));
        }
        return list;
    }

    private static <T> String text(final List<T> list, final Function<T, String> item) {
        final StringJoiner joiner = new StringJoiner(",", "[", "]");
        list.forEach(next -> joiner.add(next == null ? "-" : item.apply(next)));
        return joiner.toString();
    }
}
