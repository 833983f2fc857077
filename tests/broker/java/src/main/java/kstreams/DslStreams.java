package kstreams;

import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.streams.kstream.Branched;
import org.apache.kafka.streams.kstream.BranchedKStream;
import org.apache.kafka.streams.kstream.GlobalKTable;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.KeyValueMapper;
import org.apache.kafka.streams.kstream.Named;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.processor.api.ContextualFixedKeyProcessor;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.processor.api.Record;

/** The operators of streams in {@link DslText}. */
final class DslStreams {
    private static final Serde<Object> TEXT = DslText.TEXT;

    private DslStreams() {}

    static DslText.Flow next(final DslText.Flow flow, final DslText.Stage at) {
        final KStream<Object, Object> on = flow.stream();
        final Named as = at.named();
        final String function = at.arg(0);
        final KeyValueMapper<Object, Object, Object> key = (k, v) -> DslFunctions.key(function, k, v);
        switch (at.op()) {
            case "filter":
                return flow.with(on.filter(DslFunctions.predicate(function), as));
            case "filter_not":
                return flow.with(on.filterNot(DslFunctions.predicate(function), as));
            case "map":
                return texts(on.map((k, v) -> DslFunctions.pair(function, k, v), as));
            case "map_values":
                return new DslText.Flow(on.mapValues((k, v) -> DslFunctions.value(function, k, v), as), flow.key(),
                    DslText.cast(DslFunctions.serdeOf(function)));
            case "flat_map":
                return texts(on.flatMap((k, v) -> DslFunctions.pairs(v), as));
            case "flat_map_values":
                return new DslText.Flow(on.flatMapValues(v -> DslFunctions.values(v), as), flow.key(), TEXT);
            case "select_key":
                return new DslText.Flow(on.selectKey(key, as), TEXT, flow.value());
            case "peek":
                return flow.with(on.peek((k, v) -> { }, as));
            case "foreach":
                on.foreach((k, v) -> { }, as);
                return flow;
            case "repartition":
                return flow.with(on.repartition(
                    Repartitioned.with(flow.key(), flow.value()).withName(at.options().get("topic"))));
            case "process":
                return new DslText.Flow(
                    at.isNamed() ? on.process(Marking::new, as) : on.process(Marking::new), flow.key(), TEXT);
            case "process_values":
                return new DslText.Flow(
                    at.isNamed() ? on.processValues(MarkingValues::new, as) : on.processValues(MarkingValues::new),
                    flow.key(), TEXT);
            case "to":
                on.to(function, Produced.with(flow.key(), flow.value()).withName(at.options().get("as")));
                return flow;
            case "to_dynamic":
                on.to((k, v, context) -> function + DslFunctions.sum(v) % 2, Produced.with(flow.key(), flow.value()));
                return flow;
            case "to_table":
                return flow.with(on.toTable(as, at.kept(flow.key(), flow.value())));
            case "group_by_key":
                return flow.with(on.groupByKey(at.grouped(flow.key(), flow.value())));
            case "group_by":
                return new DslText.Flow(on.groupBy(key, at.grouped(TEXT, flow.value())), TEXT, flow.value());
            default:
                throw at.unknown();
        }
    }

    static Map<String, DslText.Flow> split(final DslText.Flow flow, final DslText.Stage at) {
        BranchedKStream<Object, Object> split = flow.stream().split(at.named());
        for (final String predicate : at.args()) {
            if (!predicate.equals("else")) {
                split = split.branch(DslFunctions.predicate(predicate), Branched.as(predicate));
            }
        }
        final Map<String, KStream<Object, Object>> branches =
            at.args().contains("else") ? split.defaultBranch(Branched.as("else")) : split.noDefaultBranch();
        final Map<String, DslText.Flow> flows = new HashMap<>();
        // Java's keys begin with the name of the splitting node.
        branches.forEach((key, branch) -> at.args().stream().filter(key::endsWith)
            .forEach(name -> flows.put(name, flow.with(branch))));
        return flows;
    }

    /** Joins and merges. */
    static DslText.Flow join(final DslText.Flow flow, final DslText.Flow other, final DslText.Stage at) {
        if (at.op().equals("merge")) {
            return flow.with(flow.stream().merge(other.stream(), at.named()));
        }
        final Object joined;
        if (other.it() instanceof GlobalKTable<?, ?>) {
            joined = withGlobal(flow.stream(), DslText.cast(other.it()), at);
        } else if (other.it() instanceof KTable<?, ?>) {
            joined = withTable(flow, other, at);
        } else {
            joined = withStream(flow, other, at);
        }
        return new DslText.Flow(joined, flow.key(), TEXT);
    }

    private static Object withGlobal(
        final KStream<Object, Object> on, final GlobalKTable<Object, Object> table, final DslText.Stage at) {
        final KeyValueMapper<Object, Object, Object> key = (k, v) -> DslFunctions.key(at.arg(1), k, v);
        return switch (at.op()) {
            case "join" -> on.join(table, key, DslFunctions::join, at.named());
            case "left_join" -> on.leftJoin(table, key, DslFunctions::join, at.named());
            default -> throw at.unknown();
        };
    }

    private static Object withTable(final DslText.Flow flow, final DslText.Flow table, final DslText.Stage at) {
        final Joined<Object, Object, Object> how =
            Joined.with(flow.key(), flow.value(), table.value()).withName(at.options().get("as"));
        return switch (at.op()) {
            case "join" -> flow.stream().join(table.table(), DslFunctions::join, how);
            case "left_join" -> flow.stream().leftJoin(table.table(), DslFunctions::join, how);
            default -> throw at.unknown();
        };
    }

    /** Arguments: the other stream, milliseconds before, after, grace. */
    private static Object withStream(final DslText.Flow flow, final DslText.Flow other, final DslText.Stage at) {
        final JoinWindows windows =
            JoinWindows.ofTimeDifferenceAndGrace(at.millis(1), at.millis(3)).after(at.millis(2));
        StreamJoined<Object, Object, Object> how = StreamJoined.with(flow.key(), flow.value(), other.value());
        if (at.options().containsKey("as")) {
            how = how.withName(at.options().get("as"));
        }
        if (at.isKept()) {
            how = how.withStoreName(at.options().get("store"));
        }
        return switch (at.op()) {
            case "join" -> flow.stream().join(other.stream(), DslFunctions::join, windows, how);
            case "left_join" -> flow.stream().leftJoin(other.stream(), DslFunctions::join, windows, how);
            case "outer_join" -> flow.stream().outerJoin(other.stream(), DslFunctions::join, windows, how);
            default -> throw at.unknown();
        };
    }

    private static DslText.Flow texts(final Object made) {
        return new DslText.Flow(made, TEXT, TEXT);
    }

    /** Marks the value, adds a header, moves the time by one. */
    private static final class Marking extends ContextualProcessor<Object, Object, Object, Object> {
        @Override
        public void process(final Record<Object, Object> record) {
            final Record<Object, Object> marked = record
                .withValue(DslFunctions.value("mark", record.key(), record.value()))
                .withTimestamp(record.timestamp() + 1);
            marked.headers().add("marked", new byte[] {1});
            context().forward(marked);
        }
    }

    /** Marks the value. */
    private static final class MarkingValues extends ContextualFixedKeyProcessor<Object, Object, Object> {
        @Override
        public void process(final FixedKeyRecord<Object, Object> record) {
            context().forward(record.withValue(DslFunctions.value("mark", record.key(), record.value())));
        }
    }
}
