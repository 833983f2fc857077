//! Faults of a topology: all of them at once, in words that name the nodes.

use crate::support::*;
use kstreams::topology::Fault;
use kstreams::{Error, ErrorKind};

fn drop_all(_: &mut Context<'_, (), ()>, _: Line) -> Result {
    Ok(())
}

#[test]
fn all_faults_are_reported_at_once() {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let twice = topology.source("lines", "in", (Utf8, Utf8));
    topology.processor("orphan", &[], || drop_all);
    topology.store(counts_in_memory());
    topology.connect("nobody", "counts");
    topology.connect("orphan", "nothing");
    topology.sink("sink", &[lines, twice], "a topic with spaces", (Utf8, Utf8));
    let errors = topology.build().unwrap_err();
    let text = errors.to_string();
    for part in [
        "node lines is added twice",
        "topic in is read by source lines and by source lines",
        "node orphan has no parents",
        "processor nobody, which is to use counts, is unknown",
        "store nothing, wanted by orphan, is unknown",
        "`a topic with spaces` is illegal",
    ] {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
    assert!(errors.faults().len() >= 6);
    assert_eq!(Error::from(errors).kind(), ErrorKind::Topology);
}

#[test]
fn a_handle_of_another_builder_is_a_fault() {
    let mut other = Topology::builder();
    let stranger = other.source("stranger", "more", (Utf8, Utf8));
    let mut topology = Topology::builder();
    topology.source("lines", "in", (Utf8, Utf8));
    topology.processor("work", &[stranger], || drop_all);
    let errors = topology.build().unwrap_err();
    assert!(errors.faults().contains(&Fault::ForeignHandle { given_to: "node work".into() }));
}

#[test]
fn a_store_of_another_type_is_refused_at_the_start() {
    let mut topology = Topology::builder();
    topology.store(counts_in_memory());
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let wrong: StoreId<KeyValueStore<u64, String>> = StoreId::new("counts");
    struct Wrong(StoreId<KeyValueStore<u64, String>>);
    impl Processor<String, String, (), ()> for Wrong {
        fn init(&mut self, ctx: &mut Init<'_, Self, (), ()>) -> Result {
            ctx.store(&self.0).map(drop)
        }
        fn process(&mut self, _: &mut Context<'_, (), ()>, _: Line) -> Result {
            Ok(())
        }
    }
    let work = topology.processor("work", &[lines], move || Wrong(wrong.clone()));
    topology.connect(work, "counts");
    let error = TestDriver::new(topology.build().unwrap(), Config::new("app")).unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::Topology, Some("work")));
    assert!(error.to_string().contains("counts"), "{error}");
}
