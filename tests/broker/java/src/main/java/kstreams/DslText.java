package kstreams;

import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.regex.Pattern;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.EmitStrategy;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Named;
import org.apache.kafka.streams.kstream.internals.NamedInternal;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Builds DSL topologies from text. A line is a chain of stages, each an operator with its arguments on what
 * came from the stage before. "x =" in front keeps the result under a name: a chain can begin with it, and
 * joins and merges take it.
 *
 * <pre>words = stream in | filter even
 *words | group_by mod | count store=counts | to_stream | to out</pre>
 *
 * A line "optimize WHAT" is the value of topology.optimization, "cache BYTES" that of statestore.cache.max.bytes.
 *
 * Arguments of the form KEY=VALUE are options: as (the name of the node), store (of Materialized or
 * StreamJoined), retention (of the store), topic (of Grouped and Repartitioned). Operators of streams stand in {@link DslStreams}, those
 * of tables and groups in {@link DslTables}, the functions they are given in {@link DslFunctions}.
 */
final class DslText {
    /** What a stage gives to the next, with the serdes of its keys and values. */
    record Flow(Object it, Serde<Object> key, Serde<Object> value) {
        KStream<Object, Object> stream() {
            return cast(it);
        }

        KTable<Object, Object> table() {
            return cast(it);
        }

        /** Something else of the same types. */
        Flow with(final Object made) {
            return new Flow(made, key, value);
        }
    }

    /** An operator, its arguments, its options. */
    record Stage(String op, List<String> args, Map<String, String> options) {
        String arg(final int index) {
            return index < args.size() ? args.get(index) : "";
        }

        Duration millis(final int index) {
            return Duration.ofMillis(Long.parseLong(args.get(index)));
        }

        /** What operators without a name get from the DSL itself, or the name. */
        Named named() {
            return options.containsKey("as") ? Named.as(options.get("as")) : NamedInternal.empty();
        }

        Grouped<Object, Object> grouped(final Serde<Object> key, final Serde<Object> value) {
            return Grouped.with(options.get("topic"), key, value);
        }

        <S extends StateStore> Materialized<Object, Object, S> kept(
            final Serde<Object> key, final Serde<Object> value) {
            if (options.containsKey("versioned")) {
                final Duration history = Duration.ofMillis(Long.parseLong(options.get("versioned")));
                return DslText.<Materialized<Object, Object, S>>cast(Materialized.<Object, Object>as(
                    Stores.persistentVersionedKeyValueStore(options.get("store"), history))
                    .withKeySerde(key).withValueSerde(value));
            }
            final Materialized<Object, Object, S> kept = options.containsKey("store")
                ? Materialized.<Object, Object, S>as(options.get("store")).withKeySerde(key).withValueSerde(value)
                : Materialized.with(key, value);
            return options.containsKey("retention")
                ? kept.withRetention(Duration.ofMillis(Long.parseLong(options.get("retention")))) : kept;
        }

        boolean isKept() {
            return options.containsKey("store");
        }

        /** "emit=close" behind windows. */
        EmitStrategy emit() {
            return options.containsKey("emit") ? EmitStrategy.onWindowClose() : EmitStrategy.onWindowUpdate();
        }

        boolean isNamed() {
            return options.containsKey("as");
        }

        IllegalArgumentException unknown() {
            return new IllegalArgumentException("no operator " + op + " there");
        }
    }

    private static final String OPTIMIZE = "optimize ";
    private static final String CACHE = "cache ";
    static final Serde<Object> TEXT = cast(Serdes.String());
    static final Serde<Object> LONG = cast(Serdes.Long());

    private final StreamsBuilder builder = new StreamsBuilder();
    private final Map<String, Flow> flows = new HashMap<>();

    private DslText() {}

    static StreamsBuilder build(final List<String> lines) {
        final DslText text = new DslText();
        lines.stream().filter(line -> !line.startsWith(OPTIMIZE) && !line.startsWith(CACHE)).forEach(text::line);
        return text.builder;
    }

    static Properties optimization(final List<String> lines) {
        final Properties settings = new Properties();
        lines.stream().filter(line -> line.startsWith(OPTIMIZE)).forEach(line ->
            settings.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, line.substring(OPTIMIZE.length())));
        return settings;
    }

    static String cacheBytes(final List<String> lines) {
        return lines.stream().filter(line -> line.startsWith(CACHE)).map(line -> line.substring(CACHE.length()))
            .findAny().orElse("0");
    }

    private void line(final String line) {
        final String[] parts = line.split(" = ", 2);
        final String name = parts.length == 2 ? parts[0] : "_";
        Flow flow = null;
        for (final String stage : parts[parts.length - 1].split(" \\| ")) {
            final Stage at = parse(stage);
            flow = flow == null ? begin(at) : next(name, flow, at);
        }
        flows.put(name, flow);
    }

    private static Stage parse(final String stage) {
        final List<String> words = Arrays.asList(stage.strip().split(" +"));
        final Map<String, String> options = new HashMap<>();
        words.stream().map(word -> word.split("=", 2)).filter(pair -> pair.length == 2)
            .forEach(pair -> options.put(pair[0], pair[1]));
        final List<String> args = words.stream().skip(1).filter(word -> !word.contains("=")).toList();
        return new Stage(words.get(0), args, options);
    }

    private Flow begin(final Stage at) {
        if (flows.containsKey(at.op)) {
            return flows.get(at.op);
        }
        final Consumed<Object, Object> how = Consumed.with(TEXT, TEXT).withName(at.options.get("as"));
        return new Flow(switch (at.op) {
            case "stream" -> builder.stream(at.args, how);
            case "pattern" -> builder.stream(Pattern.compile(at.arg(0)), how);
            case "table" -> builder.table(at.arg(0), how, at.kept(TEXT, TEXT));
            // Without a name of the store it must not be given a Materialized.
            case "global" -> at.isKept() ? builder.globalTable(at.arg(0), how, at.kept(TEXT, TEXT))
                : builder.globalTable(at.arg(0), how);
            default -> throw at.unknown();
        }, TEXT, TEXT);
    }

    private Flow next(final String name, final Flow flow, final Stage at) {
        final Flow other = flows.get(at.arg(0));
        if (at.op.equals("split")) {
            DslStreams.split(flow, at).forEach((end, branch) -> flows.put(name + "." + end, branch));
            return flow;
        }
        if (flow.it instanceof KStream<?, ?>) {
            return other == null ? DslStreams.next(flow, at) : DslStreams.join(flow, other, at);
        }
        if (flow.it instanceof KTable<?, ?>) {
            return other == null ? DslTables.next(flow, at) : DslTables.join(flow, other, at);
        }
        return other == null ? DslTables.aggregate(flow, at) : DslTables.cogroup(flow, other, at);
    }

    @SuppressWarnings("unchecked")
    static <T> T cast(final Object it) {
        return (T) it;
    }
}
