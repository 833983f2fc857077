//! How nodes group into sub-topologies, and what these tell.

use kstreams_core::serde::Unit;
use kstreams_core::source::OffsetReset;
use kstreams_topology::{Source, SourceTopics, Topology};

use crate::text::topology;

/// The names of the nodes of each sub-topology.
fn groups(text: &str) -> Vec<Vec<String>> {
    let topology = topology(text);
    let names = |sub: &kstreams_topology::SubTopology| sub.node_names().map(Into::into).collect();
    topology.subtopologies().iter().map(names).collect()
}

#[test]
fn edges_and_stores_bind_and_ids_follow_insertion() {
    let cases: &[(&str, &[&[&str]])] = &[
        ("source a x\nsource b y", &[&["a"], &["b"]]),
        ("source a x\nsource b y\nprocessor p b\nsink k out a", &[&["a", "k"], &["b", "p"]]),
        (
            "source a x\nsource b y\nprocessor p a\nprocessor q b\nstore t p,q",
            &[&["a", "b", "p", "q"]],
        ),
        (
            // A repartition topic divides; a global store takes an id of its own.
            "source a x\ninternal r\nsink k r a\nglobal g gs gt gp\nsource b r",
            &[&["a", "k"], &["gs", "gp"], &["b"]],
        ),
        (
            // Stores bind through a third processor.
            "source a x\nsource b y\nsource c z\nprocessor p a\nprocessor q b\nprocessor r c
             store t p,q\nstore u q,r",
            &[&["a", "b", "c", "p", "q", "r"]],
        ),
        // By name, a child may come first.
        ("processor p a\nsource a x", &[&["a", "p"]]),
    ];
    for (text, expected) in cases {
        assert_eq!(groups(text), *expected, "{text}");
    }
}

#[test]
fn a_subtopology_tells_its_topics_and_stores() {
    let topology = topology(
        "internal r 4
         source a x,y
         pattern b z.*
         source c r
         processor p a,b,c
         sink k out p
         sink k2 out p
         sink k3 r p
         dynamic k4 Chooser p
         store t p
         store u p nolog
         readonly v vs vt vp
         connect p v
         copartition a,c
         copartition c,b",
    );
    let [only] = topology.subtopologies() else { panic!("{topology:?}") };
    let names: Vec<_> = only.source_topics().map(|topic| topic.full_name("app")).collect();
    assert_eq!(names.iter().map(|n| &**n).collect::<Vec<_>>(), ["x", "y", "app-r", "vt"]);
    assert_eq!(only.source_patterns().map(|p| p.as_str()).collect::<Vec<_>>(), ["z.*"]);
    assert_eq!(only.repartition_sources()[0].1, Some(4));
    let sinks: Vec<_> = only.sink_topics().iter().map(|topic| &**topic.name()).collect();
    assert_eq!(sinks, ["out", "r"]);
    let stores: Vec<_> = only
        .stores()
        .iter()
        .map(|s| {
            (s.name().to_owned(), s.is_logged(), s.changelog_topic("app"), s.serde_topic("app"))
        })
        .collect();
    assert_eq!(
        stores,
        [
            ("t".into(), true, Some("app-t-changelog".into()), "app-t-changelog".into()),
            ("u".into(), false, None, "app-u-changelog".into()),
            ("v".into(), false, Some("vt".into()), "vt".into()),
        ]
    );
    let [group] = only.copartition_groups() else { panic!("groups that share a topic are one") };
    assert_eq!(group.topics().len(), 3);
    assert_eq!(group.patterns().len(), 1);
}

#[test]
fn where_sources_start() {
    let mut builder = Topology::builder();
    let late = Source::new(Unit, Unit).offset_reset(OffsetReset::Latest);
    builder.source("late", "a", late);
    builder.source("by-default", "b", (Unit, Unit));
    let topology = builder.build().unwrap();
    let resets: Vec<_> = topology.subtopologies().iter().map(|sub| sub.offset_reset(0)).collect();
    assert_eq!(resets, [Some(OffsetReset::Latest), None]);

    let mut builder = Topology::builder();
    builder.source("s", "a", (Unit, Unit));
    builder.default_offset_reset(OffsetReset::None);
    let topology = builder.build().unwrap();
    let source = &topology.subtopologies()[0].sources()[0];
    assert_eq!((source.name(), source.offset_reset()), ("s", Some(OffsetReset::None)));
    assert!(matches!(source.topics(), SourceTopics::Named(topics) if topics.len() == 1));

    let read_only = crate::text::topology("readonly v vs vt vp");
    assert_eq!(read_only.subtopologies()[0].offset_reset(0), Some(OffsetReset::Earliest));
}
