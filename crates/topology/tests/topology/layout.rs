//! Partition counts, tasks and internal topics against Kafka Streams 4.3.1.

use std::collections::BTreeSet;
use std::fmt::Write;

use kstreams_topology::{Changelog, InternalTopicKind, InternalTopicSettings, Topology};

use crate::text::{counts, topology};

/// Cases written by hand and drawn by lot, with what `kstreams.GoldenTasks` prints for them.
#[test]
fn tasks_and_internal_topics_are_as_in_java() {
    let cases = include_str!("tasks.txt").split("=====\n").filter(|case| !case.is_empty());
    let mut n_cases = 0;
    for case in cases {
        let (lines, expected) = case.split_once("-----\n").unwrap();
        assert_eq!(tasks(lines), expected, "{lines}");
        n_cases += 1;
    }
    assert!(n_cases > 20, "{n_cases} cases");
}

/// Prints what `kstreams.GoldenTasks` prints.
fn tasks(text: &str) -> String {
    let topology = topology(text);
    let layout = match topology.layout("app", &counts(text)) {
        Ok(layout) => layout,
        Err(error) => return format!("error {error}\n"),
    };
    let internal = topology.internal_topics(&layout, &InternalTopicSettings::default());
    let mut out = String::new();
    for sub in topology.subtopologies().iter().filter(|sub| !sub.is_global()) {
        let id = sub.id();
        let sources = layout_sources(&topology, &layout, id);
        let sinks = sub.sink_topics().iter().map(|topic| topic.full_name("app").to_string());
        let stores = sub.stores().iter().map(|store| store.name().to_owned());
        _ = writeln!(
            out,
            "subtopology {id} sources {} sinks {} stores {}",
            join(sources),
            join(sinks),
            join(stores)
        );
        let mut own: Vec<_> = internal
            .iter()
            .filter(|topic| {
                let changelog = sub.stores().iter().filter(|store| store.is_logged());
                let mut changelogs = changelog.filter_map(|store| store.changelog_topic("app"));
                let mut repartitions =
                    sub.repartition_sources().iter().map(|(topic, _)| topic.full_name("app"));
                changelogs.any(|name| name == topic.name)
                    || repartitions.any(|name| name == topic.name)
            })
            .collect();
        own.sort_by_key(|topic| (topic.kind == InternalTopicKind::Changelog, &topic.name));
        for topic in own {
            let configs: Vec<_> = topic.configs.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let configs = configs.join(";");
            _ = match topic.kind {
                InternalTopicKind::Repartition => {
                    writeln!(out, "repartition {id} {} {} {configs}", topic.name, topic.partitions)
                }
                InternalTopicKind::Changelog => {
                    assert_eq!(topic.partitions, layout.n_tasks(id));
                    writeln!(out, "changelog {id} {} {configs}", topic.name)
                }
            };
        }
        for store in sub.stores() {
            if let Changelog::Source(topic) = store.changelog() {
                _ = writeln!(out, "sourcechangelog {id} {}", topic.name());
            }
        }
    }
    let groups: BTreeSet<String> = topology
        .copartition_groups()
        .iter()
        .map(|group| join(group.topics().iter().map(|topic| topic.full_name("app").to_string())))
        .collect();
    groups.iter().for_each(|group| _ = writeln!(out, "copartition {group}"));
    let globals = join(topology.global_stores().map(|store| store.name().to_owned()));
    _ = writeln!(out, "globals {globals}");
    for task in layout.tasks() {
        let inputs = layout.inputs(task).into_iter();
        let sub = topology.subtopology(task.subtopology).unwrap();
        let changelogs = sub.stores().iter().filter_map(|store| store.changelog_topic("app"));
        _ = writeln!(
            out,
            "task {task} {} {}",
            join(inputs.map(|input| format!("{}-{}", input.topic, input.partition))),
            join(changelogs.map(|topic| format!("{topic}-{}", task.partition)))
        );
    }
    out
}

fn layout_sources(topology: &Topology, layout: &kstreams_topology::Layout, id: u32) -> Vec<String> {
    let mut topics: BTreeSet<String> = BTreeSet::new();
    for task in layout.tasks().filter(|task| task.subtopology == id) {
        topics.extend(layout.inputs(task).into_iter().map(|input| input.topic.to_string()));
    }
    let named = topology.subtopologies()[id as usize].source_topics();
    topics.extend(named.map(|topic| topic.full_name("app").to_string()));
    topics.into_iter().collect()
}

fn join(names: impl IntoIterator<Item = String>) -> String {
    let names: BTreeSet<String> = names.into_iter().collect();
    if names.is_empty() { "-".to_owned() } else { names.into_iter().collect::<Vec<_>>().join(",") }
}

/// Topologies and broker topics that do not fit, with the message.
#[test]
fn what_does_not_fit_is_told() {
    let cases = [
        (
            "source s a,b,c\nsource t d\npartitions b 1",
            "missing source topics: a, c (sub-topology 0); d (sub-topology 1); create them, or let \
             this user describe them",
        ),
        (
            "pattern p x.*\npattern q .*y\npartitions xy 1",
            "topic xy is matched by two patterns: x.* and .*y",
        ),
        (
            "source a x\nsource b y\ncopartition a,b\npartitions x 3\npartitions y 2",
            "topics not co-partitioned: x=3, y=2",
        ),
        (
            "source a x\ninternal r 4\nsink k r a\nsource b r\ncopartition a,b\npartitions x 3",
            "number of partitions [4] of repartition topic [app-r] doesn't match number of \
             partitions [3] of the source topic",
        ),
        (
            "pattern p x.*\ninternal r\nsink k r p\nsource s r\npartitions y 1",
            "the partition counts of repartition topics r cannot be known: no source topic leads \
             to them; check that every pattern matches a topic",
        ),
    ];
    for (text, message) in cases {
        let error = topology(text).layout("app", &counts(text)).unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
    }
}

#[test]
fn patterns_leave_own_and_kafka_topics_alone() {
    let text = "pattern p .*
        processor c p
        store s c
        partitions app-s-changelog 5
        partitions __consumer_offsets 50
        partitions in 2";
    let layout = topology(text).layout("app", &counts(text)).unwrap();
    assert_eq!(layout.source_topics(), &[("in".into(), 2)].into());
}

#[test]
fn a_count_waits_for_all_topics_upstream() {
    // `second` is fed from `small` and, through `first`, from `large`.
    for names in [["r1", "r2"], ["r2", "r1"]] {
        let [first, second] = names;
        let text = format!(
            "internal {first}
             internal {second}
             source small small
             source from-first {first}
             processor both small,from-first
             sink to-second {second} both
             source large large
             sink to-first {first} large
             source end {second}
             partitions small 2
             partitions large 8"
        );
        let layout = topology(&text).layout("app", &counts(&text)).unwrap();
        assert_eq!(layout.partitions(&format!("app-{second}")), Some(8));
    }
}

#[test]
fn a_topic_that_feeds_itself_gets_a_count() {
    let text = "internal loop
        source in in
        source again loop
        processor p in,again
        sink k loop p
        partitions in 6";
    let layout = topology(text).layout("app", &counts(text)).unwrap();
    assert_eq!(layout.partitions("app-loop"), Some(6));
}

#[test]
fn a_global_store_reads_every_partition_and_has_no_task() {
    let text = "source s in\nglobal g gs gt gp\npartitions in 1\npartitions gt 3";
    let topology = topology(text);
    let layout = topology.layout("app", &counts(text)).unwrap();
    assert_eq!(layout.n_tasks(1), 0);
    assert_eq!(layout.tasks().count(), 1);
    let inputs = layout.global_inputs(1);
    assert_eq!(inputs.iter().map(|input| input.partition).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(inputs.iter().all(|input| &*input.topic == "gt" && input.node == 0));
    assert!(layout.global_inputs(0).is_empty());
}
