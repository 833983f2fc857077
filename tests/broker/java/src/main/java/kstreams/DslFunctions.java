package kstreams;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.kstream.Predicate;
import org.apache.kafka.streams.kstream.Windowed;

/**
 * The functions that {@link DslText} gives to operators, by name. All are defined on the text of keys and
 * values, so that a Rust test can define the same ones: a null has none and shows as "~", a long has its
 * decimal digits, a windowed key is "key@start-end".
 */
final class DslFunctions {
    private static final int LONGEST = 24;

    private DslFunctions() {}

    static String text(final Object datum) {
        if (datum instanceof Windowed<?> windowed) {
            return show(windowed.key()) + "@" + windowed.window().start() + "-" + windowed.window().end();
        }
        return datum == null ? null : datum.toString();
    }

    static String show(final Object datum) {
        final String text = text(datum);
        return text == null ? "~" : text;
    }

    static int sum(final Object datum) {
        int sum = 0;
        for (final byte part : show(datum).getBytes(StandardCharsets.UTF_8)) {
            sum += part & 0xff;
        }
        return sum;
    }

    static Predicate<Object, Object> predicate(final String name) {
        return switch (name) {
            case "even" -> (key, value) -> sum(value) % 2 == 0;
            case "third" -> (key, value) -> sum(value) % 3 == 0;
            case "low" -> (key, value) -> sum(key) % 2 == 0;
            case "all" -> (key, value) -> true;
            case "none" -> (key, value) -> false;
            default -> throw new IllegalArgumentException("no predicate " + name);
        };
    }

    static Object value(final String name, final Object key, final Object value) {
        return switch (name) {
            case "mark" -> show(value) + ".";
            case "keyed" -> show(key) + ":" + show(value);
            case "length" -> (long) sum(value);
            case "gap" -> sum(value) % 3 == 0 ? null : show(value);
            case "gap_length" -> sum(value) % 3 == 0 ? null : (Long) (long) sum(value);
            default -> throw new IllegalArgumentException("no value mapper " + name);
        };
    }

    static Serde<?> serdeOf(final String valueMapper) {
        return valueMapper.endsWith("length") ? Serdes.Long() : Serdes.String();
    }

    static String key(final String name, final Object key, final Object value) {
        return switch (name) {
            case "mod" -> "m" + sum(value) % 3;
            case "gap" -> sum(value) % 2 == 0 ? null : "g" + sum(value) % 3;
            case "one" -> "one";
            case "value" -> text(value);
            case "same" -> text(key);
            default -> throw new IllegalArgumentException("no key selector " + name);
        };
    }

    static KeyValue<Object, Object> pair(final String name, final Object key, final Object value) {
        return switch (name) {
            case "swap" -> KeyValue.pair(text(value), text(key));
            case "shift" -> KeyValue.pair(key("mod", key, value), value("mark", key, value));
            default -> throw new IllegalArgumentException("no mapper " + name);
        };
    }

    /** As many values as the sum says: 0 to 2. */
    static List<Object> values(final Object value) {
        final List<Object> values = new ArrayList<>();
        for (int i = 0; i < sum(value) % 3; i++) {
            values.add(show(value) + i);
        }
        return values;
    }

    static List<KeyValue<Object, Object>> pairs(final Object value) {
        final List<KeyValue<Object, Object>> pairs = new ArrayList<>();
        for (final Object one : values(value)) {
            pairs.add(KeyValue.pair("f" + pairs.size(), one));
        }
        return pairs;
    }

    static String join(final Object key, final Object left, final Object right) {
        return show(key) + "(" + show(left) + "," + show(right) + ")";
    }

    static Object reduce(final String name, final Object one, final Object two) {
        if (one instanceof Long a) {
            // Windows do not drop null values.
            final long b = two == null ? 0 : (Long) two;
            return switch (name) {
                case "append" -> a + b;
                case "larger" -> Math.max(a, b);
                case "remove" -> a - b;
                default -> throw new IllegalArgumentException("no reducer " + name);
            };
        }
        return switch (name) {
            case "append" -> tail(show(one) + "+" + show(two));
            case "larger" -> show(one).compareTo(show(two)) > 0 ? show(one) : show(two);
            case "remove" -> tail(show(one) + "-" + show(two));
            default -> throw new IllegalArgumentException("no reducer " + name);
        };
    }

    /** The aggregate of a key so far is {@code all}; "forget" deletes it now and then. */
    static Object aggregate(final String name, final String sign, final Object value, final Object all) {
        return switch (name) {
            case "list" -> tail(show(all) + sign + show(value));
            case "forget" -> sum(value) % 4 == 0 ? null : tail(show(all) + sign + show(value));
            default -> throw new IllegalArgumentException("no aggregator " + name);
        };
    }

    private static String tail(final String text) {
        return text.substring(Math.max(0, text.length() - LONGEST));
    }
}
