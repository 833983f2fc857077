//! Handlers: records that cannot be read, processed or written.

use crate::support::*;
use kstreams::ErrorKind;
use kstreams::handler::ProductionVerdict as Production;
use kstreams::log::memory::OwnedRecord;
use kstreams::record::Headers;
use kstreams::serde::At;
use kstreams::topology::Destination;

const BAD: &[u8] = &[0xff, 0xfe];

fn with_handlers(topology: Topology, handlers: Handlers, dlq: bool) -> TestDriver {
    let mut builder = TestDriver::builder(topology, Config::new("app").handlers(handlers));
    if dlq {
        builder = builder.partitions("dlq", 1);
    }
    builder.build().unwrap()
}

fn pipe_bad(driver: &mut TestDriver) -> Result {
    let mut headers = Headers::default();
    headers.push("own", Some(b"1"));
    driver.input("in", Utf8, Utf8).pipe_bytes(Some(b"key"), Some(BAD), at(5), &headers)
}

fn header<'a>(record: &'a OwnedRecord, name: &str) -> &'a str {
    let value = record.headers.last(name).flatten();
    value.map_or("(none)", |bytes| std::str::from_utf8(bytes).expect("text"))
}

/// Where the error headers say that a dead letter came from.
fn origin(record: &OwnedRecord) -> String {
    let part = |name| header(record, &format!("__streams.errors.{name}"));
    format!("{}-{}@{}", part("topic"), part("partition"), part("offset"))
}

#[test]
fn an_unreadable_record_fails_by_default_and_is_named() {
    let mut driver = with_handlers(observed(|_, _| Ok(())), Handlers::default(), false);
    pipe(&mut driver, "in", "good", 0).unwrap();
    let error = pipe_bad(&mut driver).unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::Deserialization, Some("lines")));
    assert_eq!((error.task(), error.partition()), (Some(task(0, 0)), Some(("in", 0))));
    assert!(error.to_string().contains("in-0@1"), "{error}");
}

#[test]
fn an_unreadable_record_is_skipped_if_the_handler_says_so() {
    let asked = Notes::default();
    let seen = asked.clone();
    let handlers = Handlers::default().on_deserialization(move |failure| {
        let raw = failure.raw.expect("the bytes are at hand");
        seen.add(format!("{} {} {:?}", failure.node, failure.task, raw.value));
        assert_eq!(failure.record.map(|record| record.offset), Some(0));
        Verdict::Continue
    });
    let mut driver = with_handlers(observed(|_, _| Ok(())), handlers, false);
    pipe_bad(&mut driver).unwrap();
    pipe(&mut driver, "in", "good", 0).unwrap();
    assert_eq!(values(&mut driver, "out"), ["good"]);
    assert_eq!(asked.all(), ["lines 0_0 Some([255, 254])"]);
}

#[test]
fn an_unreadable_record_becomes_a_dead_letter_with_its_bytes() {
    let handlers = Handlers::default().dead_letter_to("dlq");
    let mut driver = with_handlers(observed(|_, _| Ok(())), handlers, true);
    pipe(&mut driver, "in", "good", 0).unwrap();
    pipe_bad(&mut driver).unwrap();
    pipe(&mut driver, "in", "better", 0).unwrap();
    assert_eq!(values(&mut driver, "out"), ["good", "better"]);
    let letters = driver.log().records("dlq");
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((letter.key.as_deref(), letter.value.as_deref()), (Some(&b"key"[..]), Some(BAD)));
    assert_eq!((header(letter, "own"), origin(letter).as_str()), ("1", "in-0@1"));
    for name in ["exception", "message", "stacktrace"] {
        let text = header(letter, &format!("__streams.errors.{name}"));
        assert!(!text.is_empty() && text != "(none)", "{name}: {:?}", letter.headers);
    }
}

/// `in` -> `parent` -> (`bad`, which refuses `x` -> `bad-out`), (`good` -> `out`).
fn siblings(notes: &Notes) -> Topology {
    let after = notes.clone();
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let parent = topology.processor("parent", &[lines], move || {
        let after = after.clone();
        move |ctx: &mut Ctx<'_>, record: Line| {
            let value = record.value.clone();
            ctx.forward(record)?;
            after.add(format!("after {value}"));
            Ok(())
        }
    });
    let bad = topology.processor("bad", &[parent], || {
        |ctx: &mut Ctx<'_>, record: Line| {
            if record.value == "x" {
                return Err("no x".into());
            }
            ctx.forward(record)
        }
    });
    let good = topology
        .processor("good", &[parent], || |ctx: &mut Ctx<'_>, record: Line| ctx.forward(record));
    topology.sink("bad-sink", &[bad], "bad-out", (Utf8, Utf8));
    topology.sink("good-sink", &[good], "out", (Utf8, Utf8));
    topology.build().unwrap()
}

#[test]
fn a_failed_record_is_dropped_at_its_node_alone() {
    let (asked, notes) = (Notes::default(), Notes::default());
    let seen = asked.clone();
    let handlers = Handlers::default().on_processing(move |failure| {
        let offset = failure.record.map(|record| record.offset);
        seen.add(format!("{} {offset:?} {}", failure.node, failure.timestamp));
        Verdict::Continue
    });
    let mut driver = with_handlers(siblings(&notes), handlers, false);
    for (value, time) in [("a", 1), ("x", 2), ("b", 3)] {
        pipe(&mut driver, "in", value, time).unwrap();
    }
    assert_eq!(asked.all(), ["bad Some(1) 2"], "asked once, where it happened");
    assert_eq!(notes.all(), ["after a", "after x", "after b"]);
    assert_eq!(values(&mut driver, "bad-out"), ["a", "b"]);
    assert_eq!(values(&mut driver, "out"), ["a", "x", "b"]);
}

#[test]
fn a_failed_record_becomes_a_dead_letter_with_its_source_bytes() {
    let handlers = Handlers::default().dead_letter_to("dlq");
    let mut driver = with_handlers(siblings(&Notes::default()), handlers, true);
    for value in ["a", "x"] {
        pipe(&mut driver, "in", value, 7).unwrap();
    }
    let letters = driver.log().records("dlq");
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].value.as_deref(), Some(&b"x"[..]));
    assert_eq!(origin(&letters[0]), "in-0@1");
    assert_eq!(header(&letters[0], "__streams.errors.message"), "no x");
}

#[test]
fn the_default_fails_at_the_failing_node() {
    let notes = Notes::default();
    let mut driver = with_handlers(siblings(&notes), Handlers::default(), false);
    let error = pipe(&mut driver, "in", "x", 0).unwrap_err();
    assert_eq!((error.node(), error.message()), (Some("bad"), "no x"));
    assert!(notes.all().is_empty(), "the parent does not go on");
}

#[test]
fn a_dead_letter_topic_that_does_not_exist_is_an_error_that_names_it() {
    let handlers = Handlers::default().dead_letter_to("dlq");
    let mut driver = with_handlers(observed(|_, _| Ok(())), handlers, false);
    let error = pipe_bad(&mut driver).unwrap_err().to_string();
    assert!(error.contains("dlq"), "{error}");
}

/// `in` -> `out` on a log that takes records of up to 100 bytes.
fn narrow(production: Option<Production>, asked: &Notes) -> (MemoryLog, Streams) {
    let log = with_topics(MemoryLog::builder().max_message_bytes(100).build(), 1);
    let asked = asked.clone();
    let handlers = match production {
        Some(verdict) => Handlers::default().on_production(move |failed| {
            let size = failed.value.map_or(0, <[u8]>::len);
            asked.add(format!("{} {} {size} {:?}", failed.task, failed.topic, failed.error.kind()));
            verdict.clone()
        }),
        None => Handlers::default(),
    };
    produce(&log, "in", &["a", "60", "b"]);
    let topology = through(|| {
        |ctx: &mut Ctx<'_>, record: Line| match record.value.as_str() {
            "60" => ctx.forward(record.map_value(|text| text.repeat(60))),
            _ => ctx.forward(record),
        }
    });
    let app = Streams::new(topology, config().handlers(handlers), log.clone()).unwrap();
    app.start().unwrap();
    (log, app)
}

#[test]
fn a_record_that_is_too_large_fails_by_default() {
    let (log, app) = narrow(None, &Notes::default());
    assert!(app.wait_for(State::Error, SOON));
    let error = app.error().unwrap();
    assert!(error.contains("out") && error.contains("0_0"), "{error}");
    assert!(committed(&log, "in", 0).is_none_or(|offset| offset <= 1));
}

#[test]
fn a_record_that_is_too_large_is_given_up_if_the_handler_says_so() {
    let asked = Notes::default();
    let (log, app) = narrow(Some(Production::Continue), &asked);
    eventually("all committed", || committed(&log, "in", 0) == Some(3));
    assert_eq!(texts(&log, "out"), ["a", "b"]);
    assert_eq!(asked.all(), ["0_0 out 120 Production"]);
    assert!(app.close(SOON));
}

#[test]
fn a_refused_record_becomes_a_dead_letter_if_the_handler_says_so() {
    let log = log_with(1);
    log.create_topic_with("narrow", 1, &[("max.message.bytes", "100")]).unwrap();
    log.create_topic("dlq", 1).unwrap();
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    topology.sink("sink", &[lines], "narrow", (Utf8, Utf8));
    let handlers = Handlers::default().on_production(|_| Production::DeadLetter("dlq".into()));
    let long = "x".repeat(200);
    produce(&log, "in", &["a", &long, "b"]);
    let app = run(topology.build().unwrap(), config().handlers(handlers), &log);
    eventually("all committed", || committed(&log, "in", 0) == Some(3));
    assert_eq!(texts(&log, "narrow"), ["a", "b"]);
    assert_eq!(texts(&log, "dlq"), [long]);
    assert!(app.close(SOON));
}

#[test]
fn an_unknown_sink_topic_is_an_error_that_names_it() {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let nowhere = |_: &Line, _: Option<RecordMetadata<'_>>| "nowhere".into();
    topology.sink("sink", &[lines], Destination::per_record(nowhere), (Utf8, Utf8));
    let log = log_with(1);
    produce(&log, "in", &["a"]);
    let app = Streams::new(topology.build().unwrap(), config(), log.clone()).unwrap();
    app.start().unwrap();
    assert!(app.wait_for(State::Error, SOON), "{:?}", app.state());
    assert!(app.error().unwrap().contains("nowhere"), "{:?}", app.error());
    assert_eq!(committed(&log, "in", 0), None);
}

/// Refuses to write one value.
struct Picky;

impl Serde for Picky {
    type Item = String;

    fn serialize(&self, item: &String, at: &At<'_>, out: &mut Vec<u8>) -> Result {
        if item == "x" {
            return Err("x cannot be written".into());
        }
        Utf8.serialize(item, at, out)
    }

    fn deserialize(&self, bytes: &[u8], at: &At<'_>) -> Result<String> {
        Utf8.deserialize(bytes, at)
    }
}

fn picky(handlers: Handlers) -> TestDriver {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    topology.sink("sink", &[lines], "out", (Utf8, Picky));
    with_handlers(topology.build().unwrap(), handlers, false)
}

#[test]
fn a_value_that_cannot_be_written_fails_by_default() {
    let error = pipe(&mut picky(Handlers::default()), "in", "x", 0).unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::Serialization, Some("sink")));
    assert!(error.to_string().contains("x cannot be written"), "{error}");
}

#[test]
fn a_value_that_cannot_be_written_is_given_up_if_the_handler_says_so() {
    let handlers = Handlers::default().on_production(|failed| {
        assert_eq!(failed.topic, "out");
        Production::Continue
    });
    let mut driver = picky(handlers);
    for value in ["a", "x", "b"] {
        pipe(&mut driver, "in", value, 0).unwrap();
    }
    assert_eq!(values(&mut driver, "out"), ["a", "b"]);
}
