package kstreams;

import java.time.Instant;
import java.util.function.BiFunction;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.kstream.Aggregator;
import org.apache.kafka.streams.kstream.CogroupedKStream;
import org.apache.kafka.streams.kstream.Initializer;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KGroupedTable;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Named;
import org.apache.kafka.streams.kstream.Reducer;
import org.apache.kafka.streams.kstream.SessionWindowedKStream;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.SlidingWindows;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.TableJoined;
import org.apache.kafka.streams.kstream.TimeWindowedKStream;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.UnlimitedWindows;
import org.apache.kafka.streams.kstream.ValueJoiner;
import org.apache.kafka.streams.kstream.ValueMapperWithKey;
import org.apache.kafka.streams.kstream.ValueTransformerWithKey;
import org.apache.kafka.streams.kstream.WindowedSerdes;
import org.apache.kafka.streams.processor.ProcessorContext;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.WindowStore;

/** The operators of tables, and of what is grouped, in {@link DslText}. */
final class DslTables {
    private static final Serde<Object> TEXT = DslText.TEXT;
    private static final Serde<Object> LONG = DslText.LONG;

    private DslTables() {}

    static DslText.Flow next(final DslText.Flow flow, final DslText.Stage at) {
        final KTable<Object, Object> on = flow.table();
        final Named as = at.named();
        final String function = at.arg(0);
        switch (at.op()) {
            case "filter":
                return flow.with(at.isKept()
                    ? on.filter(DslFunctions.predicate(function), as, at.kept(flow.key(), flow.value()))
                    : on.filter(DslFunctions.predicate(function), as));
            case "filter_not":
                return flow.with(on.filterNot(DslFunctions.predicate(function), as));
            case "map_values": {
                final ValueMapperWithKey<Object, Object, Object> mapper =
                    (k, v) -> DslFunctions.value(function, k, v);
                final Serde<Object> serde = DslText.cast(DslFunctions.serdeOf(function));
                return new DslText.Flow(at.isKept()
                    ? on.mapValues(mapper, as, at.kept(flow.key(), serde)) : on.mapValues(mapper, as),
                    flow.key(), serde);
            }
            case "transform": {
                final Serde<Object> serde = DslText.cast(DslFunctions.serdeOf(function));
                return new DslText.Flow(at.isKept()
                    ? on.transformValues(() -> new Transforming(function), at.kept(flow.key(), serde), as)
                    : on.transformValues(() -> new Transforming(function), as), flow.key(), serde);
            }
            case "to_stream":
                return flow.with(on.toStream(as));
            case "suppress_closed":
                return flow.with(on.suppress(named(DslText.<Suppressed<Object>>cast(
                    Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded())), at)));
            case "suppress_wait":
                return flow.with(on.suppress(
                    named(Suppressed.untilTimeLimit(at.millis(0), Suppressed.BufferConfig.unbounded()), at)));
            case "suppress_some":
                return flow.with(on.suppress(named(Suppressed.untilTimeLimit(at.millis(0),
                    Suppressed.BufferConfig.maxRecords(Long.parseLong(at.arg(1)))), at)));
            case "group_by":
                return new DslText.Flow(on.groupBy(
                    (k, v) -> KeyValue.pair((Object) DslFunctions.key(function, k, v), v),
                    at.grouped(TEXT, flow.value())), TEXT, flow.value());
            default:
                throw at.unknown();
        }
    }

    static DslText.Flow join(final DslText.Flow flow, final DslText.Flow other, final DslText.Stage at) {
        final KTable<Object, Object> on = flow.table();
        final KTable<Object, Object> with = other.table();
        final Named as = at.named();
        final ValueJoiner<Object, Object, Object> joiner = (left, right) -> DslFunctions.join("t", left, right);
        final KTable<Object, Object> joined;
        switch (at.op()) {
            case "join":
                joined = at.isKept() ? on.join(with, joiner, as, at.kept(flow.key(), TEXT)) : on.join(with, joiner, as);
                break;
            case "left_join":
                joined = at.isKept()
                    ? on.leftJoin(with, joiner, as, at.kept(flow.key(), TEXT)) : on.leftJoin(with, joiner, as);
                break;
            case "join_on", "left_join_on":
                return foreign(flow, other, at);
            case "outer_join":
                joined = at.isKept()
                    ? on.outerJoin(with, joiner, as, at.kept(flow.key(), TEXT)) : on.outerJoin(with, joiner, as);
                break;
            default:
                throw at.unknown();
        }
        return new DslText.Flow(joined, flow.key(), TEXT);
    }

    private static Suppressed<Object> named(final Suppressed<Object> how, final DslText.Stage at) {
        return at.isNamed() ? how.withName(at.options().get("as")) : how;
    }

    /** Arguments: the other table, the selector of the foreign key. */
    private static DslText.Flow foreign(final DslText.Flow flow, final DslText.Flow other, final DslText.Stage at) {
        final KTable<Object, Object> on = flow.table();
        final KTable<Object, Object> with = other.table();
        final BiFunction<Object, Object, Object> key = (k, v) -> DslFunctions.key(at.arg(1), k, v);
        final ValueJoiner<Object, Object, Object> joiner = (left, right) -> DslFunctions.join("t", left, right);
        final TableJoined<Object, Object> how = TableJoined.as(at.options().get("as"));
        final KTable<Object, Object> joined;
        if (at.op().equals("join_on")) {
            joined = at.isKept()
                ? on.join(with, key, joiner, how, at.kept(flow.key(), TEXT)) : on.join(with, key, joiner, how);
        } else {
            joined = at.isKept()
                ? on.leftJoin(with, key, joiner, how, at.kept(flow.key(), TEXT)) : on.leftJoin(with, key, joiner, how);
        }
        return new DslText.Flow(joined, flow.key(), TEXT);
    }

    /** Groups become windowed or aggregated. */
    static DslText.Flow aggregate(final DslText.Flow flow, final DslText.Stage at) {
        if (flow.it() instanceof KGroupedStream<?, ?>) {
            return ofGroup(flow, DslText.cast(flow.it()), at);
        }
        if (flow.it() instanceof KGroupedTable<?, ?>) {
            return ofTable(flow, DslText.cast(flow.it()), at);
        }
        if (flow.it() instanceof CogroupedKStream<?, ?> cogrouped) {
            return ofCogroup(flow, DslText.cast(cogrouped), at);
        }
        if (flow.it() instanceof TimeWindowedKStream<?, ?>) {
            return ofWindows(flow, DslText.cast(flow.it()), at);
        }
        return ofSessions(flow, DslText.cast(flow.it()), at);
    }

    private static DslText.Flow ofGroup(
        final DslText.Flow flow, final KGroupedStream<Object, Object> on, final DslText.Stage at) {
        final Serde<Object> key = flow.key();
        return switch (at.op()) {
            case "windowed" -> flow.with(on.windowedBy(
                TimeWindows.ofSizeAndGrace(at.millis(0), at.millis(2)).advanceBy(at.millis(1)))
                .emitStrategy(at.emit()));
            case "sliding" -> flow.with(on.windowedBy(
                SlidingWindows.ofTimeDifferenceAndGrace(at.millis(0), at.millis(1))).emitStrategy(at.emit()));
            case "unlimited" -> flow.with(on.windowedBy(
                UnlimitedWindows.of().startOn(Instant.ofEpochMilli(at.millis(0).toMillis()))));
            case "sessions" -> flow.with(on.windowedBy(
                SessionWindows.ofInactivityGapAndGrace(at.millis(0), at.millis(1))).emitStrategy(at.emit()));
            case "cogroup" -> new DslText.Flow(on.cogroup(aggregator(at, "+")), key, TEXT);
            case "count" -> new DslText.Flow(on.count(at.named(), DslText.cast(at.kept(key, LONG))), key, LONG);
            case "reduce" -> flow.with(on.reduce(reducer(at), at.named(), at.kept(key, flow.value())));
            case "aggregate" -> new DslText.Flow(
                on.aggregate(nothing(), aggregator(at, "+"), at.named(), at.kept(key, TEXT)), key, TEXT);
            default -> throw at.unknown();
        };
    }

    private static DslText.Flow ofCogroup(
        final DslText.Flow flow, final CogroupedKStream<Object, Object> on, final DslText.Stage at) {
        return switch (at.op()) {
            case "aggregate" -> new DslText.Flow(
                on.aggregate(nothing(), at.named(), at.kept(flow.key(), TEXT)), flow.key(), TEXT);
            case "windows" -> new DslText.Flow(on.windowedBy(
                TimeWindows.ofSizeAndGrace(at.millis(0), at.millis(2)).advanceBy(at.millis(1)))
                .aggregate(nothing(), at.named(), at.kept(flow.key(), TEXT)), timed(flow.key()), TEXT);
            case "sliding" -> new DslText.Flow(on.windowedBy(
                SlidingWindows.ofTimeDifferenceAndGrace(at.millis(0), at.millis(1)))
                .aggregate(nothing(), at.named(), at.kept(flow.key(), TEXT)), timed(flow.key()), TEXT);
            case "sessions" -> new DslText.Flow(on.windowedBy(
                SessionWindows.ofInactivityGapAndGrace(at.millis(0), at.millis(1)))
                .aggregate(nothing(), (k, one, two) -> DslFunctions.reduce("append", one, two),
                    at.named(), at.kept(flow.key(), TEXT)), sessioned(flow.key()), TEXT);
            default -> throw at.unknown();
        };
    }

    /** One more group among the cogrouped. */
    static DslText.Flow cogroup(final DslText.Flow flow, final DslText.Flow other, final DslText.Stage at) {
        final CogroupedKStream<Object, Object> on = DslText.cast(flow.it());
        final KGroupedStream<Object, Object> more = DslText.cast(other.it());
        return flow.with(on.cogroup(more,
            (key, value, all) -> DslFunctions.aggregate(at.arg(1), "*", value, all)));
    }

    private static Serde<Object> timed(final Serde<Object> key) {
        // The size counts only where keys are read.
        return DslText.cast(new WindowedSerdes.TimeWindowedSerde<>(DslText.<Serde<Object>>cast(key), Long.MAX_VALUE));
    }

    private static Serde<Object> sessioned(final Serde<Object> key) {
        return DslText.cast(new WindowedSerdes.SessionWindowedSerde<>(DslText.<Serde<Object>>cast(key)));
    }

    private static DslText.Flow ofTable(
        final DslText.Flow flow, final KGroupedTable<Object, Object> on, final DslText.Stage at) {
        final Serde<Object> key = flow.key();
        final Reducer<Object> remove = (one, two) -> DslFunctions.reduce("remove", one, two);
        return switch (at.op()) {
            case "count" -> new DslText.Flow(on.count(at.named(), DslText.cast(at.kept(key, LONG))), key, LONG);
            case "reduce" -> flow.with(on.reduce(reducer(at), remove, at.named(), at.kept(key, flow.value())));
            case "aggregate" -> new DslText.Flow(on.aggregate(nothing(), aggregator(at, "+"), aggregator(at, "-"),
                at.named(), at.kept(key, TEXT)), key, TEXT);
            default -> throw at.unknown();
        };
    }

    private static DslText.Flow ofWindows(
        final DslText.Flow flow, final TimeWindowedKStream<Object, Object> on, final DslText.Stage at) {
        final Serde<Object> key = flow.key();
        final Serde<Object> windowed = timed(key);
        return switch (at.op()) {
            case "count" -> new DslText.Flow(on.count(at.named(), DslText.cast(
                at.<WindowStore<Bytes, byte[]>>kept(key, LONG))), windowed, LONG);
            case "reduce" -> new DslText.Flow(
                on.reduce(reducer(at), at.named(), at.kept(key, flow.value())), windowed, flow.value());
            case "aggregate" -> new DslText.Flow(
                on.aggregate(nothing(), aggregator(at, "+"), at.named(), at.kept(key, TEXT)), windowed, TEXT);
            default -> throw at.unknown();
        };
    }

    private static DslText.Flow ofSessions(
        final DslText.Flow flow, final SessionWindowedKStream<Object, Object> on, final DslText.Stage at) {
        final Serde<Object> key = flow.key();
        final Serde<Object> windowed = sessioned(key);
        return switch (at.op()) {
            case "count" -> new DslText.Flow(on.count(at.named(), DslText.cast(
                at.<SessionStore<Bytes, byte[]>>kept(key, LONG))), windowed, LONG);
            case "reduce" -> new DslText.Flow(
                on.reduce(reducer(at), at.named(), at.kept(key, flow.value())), windowed, flow.value());
            case "aggregate" -> new DslText.Flow(on.aggregate(nothing(), aggregator(at, "+"),
                (k, one, two) -> DslFunctions.reduce("append", one, two), at.named(), at.kept(key, TEXT)),
                windowed, TEXT);
            default -> throw at.unknown();
        };
    }

    /** A value mapper as a transformer. */
    private static final class Transforming implements ValueTransformerWithKey<Object, Object, Object> {
        private final String function;

        Transforming(final String function) {
            this.function = function;
        }

        @Override
        public void init(final ProcessorContext context) { }

        @Override
        public Object transform(final Object key, final Object value) {
            return value == null ? null : DslFunctions.value(function, key, value);
        }

        @Override
        public void close() { }
    }

    private static Reducer<Object> reducer(final DslText.Stage at) {
        return (one, two) -> DslFunctions.reduce(at.arg(0), one, two);
    }

    private static Initializer<Object> nothing() {
        return () -> "";
    }

    private static Aggregator<Object, Object, Object> aggregator(final DslText.Stage at, final String sign) {
        return (key, value, all) -> DslFunctions.aggregate(at.arg(0), sign, value, all);
    }
}
