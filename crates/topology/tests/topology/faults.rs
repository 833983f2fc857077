//! Every fault with its message, and several at once.

use kstreams_core::error::{Error, ErrorKind};
use kstreams_core::serde::{Unit, Utf8};
use kstreams_topology::{Fault, Topology};

use crate::support::cells;
use crate::text::read;

/// The faults of a text, as sentences.
fn faults(text: &str) -> Vec<String> {
    match read(text).build() {
        Ok(_) => Vec::new(),
        Err(errors) => errors.faults().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn each_fault_has_its_message() {
    let long = "x".repeat(250);
    let too_long = format!("topic name `{long}` is illegal: it is longer than 249 characters");
    let reads_long = format!("source s {long}");
    let cases: &[(&str, &[&str])] = &[
        // Nodes and edges.
        ("", &["there is no source"]),
        ("source s in\nsource s more", &["node s is added twice"]),
        ("source s in\nprocessor s s", &["node s is added twice"]),
        ("source s in\nprocessor p", &["node p has no parents"]),
        ("source s in\nsink k out", &["node k has no parents"]),
        ("source s in\nprocessor p q", &["parent q of node p is unknown"]),
        ("source s in\nprocessor p s,p", &["node p is its own parent"]),
        (
            "source s in\nprocessor p s\nedge p s",
            &[
                "source s cannot have a parent, but has p",
                "nodes s, p are parents of each other in a circle",
            ],
        ),
        ("source s in\nsource t more\nedge s t", &["source t cannot have a parent, but has s"]),
        ("source s in\nedge s q", &["node q, which is to be a child of s, is unknown"]),
        ("source s in\nsink k out s\nprocessor p k", &["sink k cannot be the parent of node p"]),
        (
            "source s in\ndynamic k Chooser s\nsink m out k",
            &["sink k cannot be the parent of node m"],
        ),
        (
            "source s in\nprocessor a s,c\nprocessor b a\nprocessor c b",
            &["nodes a, b, c are parents of each other in a circle"],
        ),
        (
            "global g gs gt gp\nprocessor p gp",
            &["node gp of a global store cannot be the parent of node p"],
        ),
        // Topics.
        ("source s", &["source s reads no topic"]),
        ("source s in\nsource t in", &["topic in is read by source s and by source t"]),
        ("source s in,in", &["topic in is read by source s and by source s"]),
        ("source s in\nglobal g gs in gp", &["topic in is read by source s and by source gs"]),
        (
            "pattern p i.*\nsource s in",
            &["topic in of source s matches the pattern i.* of source p"],
        ),
        (
            "source s in\npattern p i.*",
            &["pattern i.* of source p matches the topic in of source s"],
        ),
        ("source s in\npattern p i", &[]),
        (
            "source s a+b",
            &["topic name `a+b` is illegal: it has a character other than ASCII letters, digits, \
               `.`, `_` and `-`"],
        ),
        ("source s ..", &["topic name `..` is illegal: it must not be `.` or `..`"]),
        (&reads_long, &[&too_long]),
        (
            "source s in\nsink k a/b s",
            &["topic name `a/b` is illegal: it has a character other than ASCII letters, digits, \
               `.`, `_` and `-`"],
        ),
        ("source s in\nsink k in s", &[]),
        (
            "source s in\ninternal r 3\ninternal r 4\nsink k r s\nsource t r",
            &["repartition topic r is declared with 3 and with 4 partitions"],
        ),
        ("source s in\ninternal r 3\ninternal r\ninternal r 3\nsink k r s\nsource t r", &[]),
        (
            "source s in\ninternal r 0\nsink k r s\nsource t r",
            &["repartition topic r is declared with 0 partitions; it needs at least 1"],
        ),
        ("source s in\ninternal r\nsink k r s", &["repartition topic r is written but never read"]),
        (
            "internal r\nsource t r",
            &["repartition topic r is read but never written, and declares no partitions"],
        ),
        ("internal r 2\nsource t r", &[]),
        (
            "source s in\nprocessor p s\ncopartition s,p",
            &["node p cannot be co-partitioned: only sources can"],
        ),
        ("source s in\ncopartition s,q", &["node q cannot be co-partitioned: only sources can"]),
        (
            "source s in\ninternal a 2\ninternal b 3\nsink ka a s\nsink kb b s\nsource sa a\n\
             source sb b\ncopartition sa,sb",
            &["co-partitioned topics do not have the same number of partitions: a=2, b=3"],
        ),
        // Stores.
        ("source s in\nprocessor p s\nstore t p\nstore t p", &["store t is added twice"]),
        ("source s in\nprocessor p s\nstore g p\nglobal g gs gt gp", &["store g is added twice"]),
        ("source s in\nstore t -", &["no processor is connected to store t"]),
        ("source s in\nprocessor p s\nconnect p t", &["store t, wanted by p, is unknown"]),
        ("source s in\nprocessor p s\nconnect p", &["node p is connected to no store"]),
        ("source s in\nstore t p", &["processor p, which is to use t, is unknown"]),
        (
            "source s in\nsink k out s\nstore t s,k",
            &[
                "store t cannot be connected to s: only processors use stores",
                "store t cannot be connected to k: only processors use stores",
            ],
        ),
        (
            "source s in\nprocessor p s\nglobal g gs gt gp\nconnect p g",
            &["global store g is open to processor p without being connected"],
        ),
        (
            "global g gs gt gp\nstore t gp",
            &["store t cannot be connected to processor gp of a global store"],
        ),
        (
            "global g same gt same",
            &["source and processor of store g must have different names, not both same"],
        ),
        (
            "source s in\nprocessor p s\nstore a+b p",
            &["store name `a+b` is illegal: it has a character other than ASCII letters, digits, \
               `.`, `_` and `-`"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(faults(text), *expected, "{text}");
    }
}

#[test]
fn all_faults_come_at_once() {
    let errors = read(
        "source s in
         source s in
         processor p
         sink k out p,q
         store t -",
    );
    let errors = errors.build().unwrap_err();
    assert_eq!(
        errors.faults(),
        [
            Fault::DuplicateNode { node: "s".into() },
            Fault::NoParents { node: "p".into() },
            Fault::UnknownParent { node: "k".into(), parent: "q".into() },
            Fault::TopicTwice { topic: "in".into(), first: "s".into(), second: "s".into() },
            Fault::UnusedStore { store: "t".into() },
        ]
    );
    let error = Error::from(errors);
    assert_eq!(error.kind(), ErrorKind::Topology);
    assert_eq!(
        error.to_string(),
        "the topology has 5 faults:\n  \
         node s is added twice\n  \
         node p has no parents\n  \
         parent q of node k is unknown\n  \
         topic in is read by source s and by source s\n  \
         no processor is connected to store t"
    );
}

#[test]
fn what_only_the_typed_builder_can_get_wrong() {
    let mut other = Topology::builder();
    let foreign = other.source("foreign", "foreign", (Utf8, Unit));
    let mut topology = Topology::builder();
    topology.source("s", "in", (Utf8, Unit));
    topology.source("", "more", (Utf8, Unit));
    topology.sink("k", &[foreign], "out", (Utf8, Unit));
    topology.copartition([foreign.node()]);
    let store = topology.store(cells("t"));
    topology.connect(foreign, &store);
    topology.restore_from_source(&store, "in");
    topology.restore_from_source(&store, "elsewhere");
    topology.restore_from_source("unknown", "in");
    let foreign = |given_to: &str| Fault::ForeignHandle { given_to: given_to.into() };
    assert_eq!(
        topology.build().unwrap_err().faults(),
        [
            Fault::EmptyNodeName,
            foreign("node k"),
            foreign("copartition"),
            Fault::UnknownStore {
                store: "unknown".into(),
                wanted_by: "restore_from_source of topic in".into()
            },
            foreign("connect"),
            Fault::RestoreTopicNotRead { store: "t".into(), topic: "elsewhere".into() },
            Fault::TwoSourceTopics {
                store: "t".into(),
                topics: vec!["in".into(), "elsewhere".into()]
            },
        ]
    );
}

#[test]
fn the_same_builder_twice_is_one_store() {
    use std::sync::Arc;
    let store: Arc<dyn kstreams_topology::ErasedStoreBuilder> = Arc::new(cells("t"));
    let mut topology = read("source s in\nprocessor p s");
    topology.by_name().store(Arc::clone(&store)).store(store);
    topology.connect("p", "t");
    assert_eq!(topology.build().unwrap().subtopologies()[0].stores().len(), 1);
}
