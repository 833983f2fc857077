//! Positional names, against what Kafka Streams 4.3.1 describes.

use std::time::Duration;

use kstreams_core::Result;
use kstreams_core::context::FixedKeyContext;
use kstreams_core::processor::FixedKeyProcessor;
use kstreams_core::record::FixedKeyRecord;
use kstreams_core::serde::{I64, Utf8};
use kstreams_dsl::{
    BufferConfig, Grouped, JoinWindows, Materialized, Naming, SessionWindows, StreamsBuilder,
    Suppressed, TimeWindows,
};

/// The word count that Java's documentation shows, as 4.3.1 describes it.
#[test]
fn word_count_has_the_names_of_java() {
    let builder = StreamsBuilder::new();
    builder.naming(Naming::Positional);
    builder
        .stream::<String, String>("lines")
        .flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .group_by(|_, word| word.clone())
        .count(())
        .to_stream()
        .to("counts");
    let expected = "\
Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [lines])
      --> KSTREAM-FLATMAPVALUES-0000000001
    Processor: KSTREAM-FLATMAPVALUES-0000000001 (stores: [])
      --> KSTREAM-KEY-SELECT-0000000002
      <-- KSTREAM-SOURCE-0000000000
    Processor: KSTREAM-KEY-SELECT-0000000002 (stores: [])
      --> KSTREAM-FILTER-0000000006
      <-- KSTREAM-FLATMAPVALUES-0000000001
    Processor: KSTREAM-FILTER-0000000006 (stores: [])
      --> KSTREAM-SINK-0000000005
      <-- KSTREAM-KEY-SELECT-0000000002
    Sink: KSTREAM-SINK-0000000005 (topic: KSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition)
      <-- KSTREAM-FILTER-0000000006

  Sub-topology: 1
    Source: KSTREAM-SOURCE-0000000007 (topics: [KSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition])
      --> KSTREAM-AGGREGATE-0000000004
    Processor: KSTREAM-AGGREGATE-0000000004 (stores: [KSTREAM-AGGREGATE-STATE-STORE-0000000003])
      --> KTABLE-TOSTREAM-0000000008
      <-- KSTREAM-SOURCE-0000000007
    Processor: KTABLE-TOSTREAM-0000000008 (stores: [])
      --> KSTREAM-SINK-0000000009
      <-- KTABLE-TOSTREAM-0000000008
    Sink: KSTREAM-SINK-0000000009 (topic: counts)
      <-- KTABLE-TOSTREAM-0000000008

";
    let expected = expected.replace(
        "      --> KSTREAM-SINK-0000000009\n      <-- KTABLE-TOSTREAM-0000000008",
        "      --> KSTREAM-SINK-0000000009\n      <-- KSTREAM-AGGREGATE-0000000004",
    );
    assert_eq!(builder.build().unwrap().describe(), expected);
}

/// The head of the golden topology: table, stream-table left join, a changed key.
#[test]
fn a_stream_table_join_has_the_names_of_java() {
    let builder = StreamsBuilder::new();
    let table = builder.table::<String, String>("tab", "tstore");
    builder
        .stream::<String, String>("in")
        .left_join_table(&table, |_, v, t| format!("{v}{t:?}"))
        .select_key(|_, v| v.clone())
        .to("out");
    let text = builder.build().unwrap().describe();
    for line in [
        "Source: KSTREAM-SOURCE-0000000002 (topics: [in])",
        "Source: KSTREAM-SOURCE-0000000000 (topics: [tab])",
        "Processor: KTABLE-SOURCE-0000000001 (stores: [tstore])",
        "Processor: KSTREAM-LEFTJOIN-0000000003 (stores: [tstore])",
        "Processor: KSTREAM-KEY-SELECT-0000000004 (stores: [])",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_named_grouping_is_repartitioned_once() {
    let builder = StreamsBuilder::new();
    let words = builder
        .stream::<String, String>("in")
        .group_by_with(|_, word| word.clone(), Grouped::named("by-word"));
    words.count("counts");
    words.reduce(|a, b| a.max(b), "largest");
    let topology = builder.build().unwrap();
    assert_eq!(topology.describe().matches("Sink: by-word-repartition-sink").count(), 1);
    assert_eq!(topology.subtopologies().len(), 2);
}

#[test]
fn only_a_changed_key_is_repartitioned() {
    let builder = StreamsBuilder::new();
    let lines = builder.stream::<String, String>("in");
    lines.map_values(|line| line.len() as i64).group_by_key().count("lengths");
    let topology = builder.build().unwrap();
    assert!(!topology.describe().contains("repartition"), "{}", topology.describe());
}

#[test]
fn streams_of_the_same_topic_read_it_once() {
    let builder = StreamsBuilder::new();
    builder.stream::<String, String>("in").to("a");
    builder.stream::<String, String>("in").to("b");
    builder.stream::<String, i64>("other");
    builder.stream::<i64, String>("other");
    builder.stream::<String, String>(["in", "more"]);
    let errors = builder.build().unwrap_err();
    assert_eq!(errors.faults().len(), 2, "{errors}");
    assert!(errors.to_string().contains("as different types"), "{errors}");
    assert!(errors.to_string().contains("not the same set of topics"), "{errors}");
}

/// Most operators in one topology, as 4.3.1 describes it.
#[test]
fn a_topology_of_many_operators_is_described_as_by_java() {
    let builder = StreamsBuilder::new();
    builder.naming(Naming::Positional);
    let ten = Duration::from_millis(10);
    let table = builder.table::<String, String>("tab", "tstore");
    let stream = builder.stream::<String, String>("in");
    stream
        .left_join_table(&table, |_, v, t| format!("{v}{t:?}"))
        .group_by(|_, v| v.clone())
        .windowed_by(TimeWindows::of(ten))
        .count(())
        .suppress(Suppressed::until_window_closes(BufferConfig::unbounded()))
        .to_stream()
        .map(|key, n| (key.key, n.unwrap_or(0)))
        .to("out");
    stream.group_by_key().sessions(SessionWindows::of(ten)).count(());
    let other = builder.stream::<String, String>("in2");
    stream.left_join(&other, |_, l, r| format!("{l}{r:?}"), JoinWindows::of(ten));
    let right = builder.table::<String, String>("rt", ());
    table.join_on(&right, |_, l| l.clone(), |_, l, r| format!("{l}{r}"));
    builder.global_table::<String, String>("gt", ());
    let described = builder.build().unwrap().describe();
    let expected = include_str!("golden.txt");
    assert_eq!(with_sorted_stores(&described), with_sorted_stores(expected));
}

/// Java prints the stores of a node in the order of a hash set.
fn with_sorted_stores(text: &str) -> String {
    let line = |line: &str| match line.split_once("(stores: [") {
        Some((head, stores)) => {
            let mut stores: Vec<&str> = stores.trim_end_matches("])").split(", ").collect();
            stores.sort_unstable();
            format!("{head}(stores: [{}])\n", stores.join(", "))
        }
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Java's `count(Materialized)` takes a number more where the store has no name.
#[test]
fn a_count_that_is_told_how_but_not_where_takes_two_numbers() {
    let store = |materialized: fn() -> Materialized<String, i64>| {
        let builder = StreamsBuilder::new();
        let group = builder.stream::<String, String>("in").group_by_key();
        let windows = TimeWindows::of(Duration::from_millis(10));
        group.count(materialized());
        group.windowed_by(windows).count(materialized());
        group.sessions(SessionWindows::of(Duration::from_millis(10))).count(materialized());
        builder.build().unwrap().describe()
    };
    let text = store(|| ().into());
    for number in [1, 3, 5] {
        assert!(text.contains(&format!("STATE-STORE-{number:010}")), "{text}");
    }
    let text = store(|| Materialized::with(Utf8, I64));
    for number in [2, 5, 8] {
        assert!(text.contains(&format!("STATE-STORE-{number:010}")), "{text}");
    }
}

/// Java's `process` takes a number only where it is not named.
#[test]
fn a_named_processor_takes_no_number() {
    struct Same;
    impl FixedKeyProcessor<String, String, String> for Same {
        fn process(
            &mut self,
            ctx: &mut FixedKeyContext<'_, String, String>,
            record: FixedKeyRecord<String, String>,
        ) -> Result {
            ctx.forward(record)
        }
    }
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<String, String>("in");
    stream.process_values(|| Same).named("mine").to("one");
    stream.process_values(|| Same).to("two");
    // Its number is gone when others have been taken.
    let late = stream.process_values(|| Same);
    late.to("three");
    drop(late.named("late"));
    stream.to("four");
    let text = builder.build().unwrap().describe();
    for line in [
        "Sink: KSTREAM-SINK-0000000001 (topic: one)",
        "Processor: KSTREAM-PROCESSVALUES-0000000002 (stores: [])",
        "Sink: KSTREAM-SINK-0000000005 (topic: three)",
        "Sink: KSTREAM-SINK-0000000006 (topic: four)",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_named_join_of_tables_names_its_sides() {
    let builder = StreamsBuilder::new();
    let left = builder.table::<String, String>("l", "l");
    let right = builder.table::<String, String>("r", "r");
    left.join(&right, |_, l, r| format!("{l}{r}")).named("j").to_stream().to("out");
    let text = builder.build().unwrap().describe();
    for line in [
        "Processor: j-join-this (stores: [r])",
        "Processor: j-join-other (stores: [l])",
        "Processor: j (stores: [])",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_stream_merged_with_itself_is_itself() {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<String, String>("in");
    stream.merge(&stream).to("out");
    let text = builder.build().unwrap().describe();
    assert!(text.contains("<-- KSTREAM-SOURCE-0000000000\n"), "{text}");
    assert!(text.contains("--> KSTREAM-MERGE-0000000001\n"), "{text}");
}

#[test]
fn merged_repartitions_may_share_an_operator() {
    let builder = StreamsBuilder::new();
    builder.merge_repartition_topics();
    let long = builder
        .stream::<String, String>("in")
        .select_key(|_, value| value.clone())
        .filter(|_, value| value.len() > 3);
    long.group_by_key().count("one");
    long.group_by_key().count("two");
    let text = builder.build().unwrap().describe();
    assert!(text.contains("Source: one-repartition-source (topics: [one-repartition])"), "{text}");
    assert!(!text.contains("two-repartition"), "{text}");
}

#[test]
fn no_repartition_moves_over_a_processor() {
    let builder = StreamsBuilder::new();
    builder.merge_repartition_topics();
    let keyed = builder.stream::<String, String>("in").select_key(|_, value| value.clone());
    let lengths = keyed.process_values(|| Length).named("lengths");
    let counts = |name: &str| lengths.group_by_key_with(Grouped::with(Utf8, I64)).count(name);
    counts("one");
    counts("two");
    let text = builder.build().unwrap().describe();
    assert!(text.contains("--> one-repartition-filter, two-repartition-filter\n"), "{text}");
}

struct Length;

impl FixedKeyProcessor<String, String, i64> for Length {
    fn process(
        &mut self,
        ctx: &mut FixedKeyContext<'_, String, i64>,
        record: FixedKeyRecord<String, String>,
    ) -> Result {
        ctx.forward(record.map_value(|text| text.len() as i64))
    }
}
