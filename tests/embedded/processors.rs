//! What a processor is given and may do.

use crate::support::*;
use kstreams::ErrorKind;

/// Sends values that start with a child's letter to that child, others to all.
#[derive(Default)]
struct Route {
    left: Option<Child<String, String>>,
    right: Option<Child<String, String>>,
}

impl Processor<String, String, String, String> for Route {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
        self.left = Some(ctx.child("left")?);
        self.right = Some(ctx.child("right")?);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Ctx<'_>, record: Line) -> Result {
        match (record.value.chars().next(), self.left, self.right) {
            (Some('l'), Some(left), _) => ctx.forward_to(left, record),
            (Some('r'), _, Some(right)) => ctx.forward_to(right, record),
            _ => ctx.forward(record),
        }
    }
}

#[test]
fn records_go_to_all_children_or_to_one_by_name() {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let route = topology.processor("route", &[lines], Route::default);
    topology.sink("left", &[route], "left-topic", (Utf8, Utf8));
    topology.sink("right", &[route], "right-topic", (Utf8, Utf8));
    let mut driver = driver(topology.build().unwrap());
    for value in ["a", "l1", "r1", "b"] {
        pipe(&mut driver, "in", value, 0).unwrap();
    }
    assert_eq!(values(&mut driver, "left-topic"), ["a", "l1", "b"]);
    assert_eq!(values(&mut driver, "right-topic"), ["a", "r1", "b"]);
}

#[test]
fn an_unknown_child_is_refused_with_the_names_of_those_there_are() {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let route = topology.processor("route", &[lines], Route::default);
    topology.sink("left", &[route], "out", (Utf8, Utf8));
    topology.sink("middle", &[route], "out", (Utf8, Utf8));
    let error = TestDriver::new(topology.build().unwrap(), Config::new("app")).unwrap_err();
    assert_eq!(error.node(), Some("route"));
    let text = error.to_string();
    assert!(text.contains("unknown downstream node: right (children: left, middle)"), "{text}");
}

#[test]
fn a_record_knows_where_it_came_from_through_all_nodes() {
    let notes = Notes::default();
    let place = |ctx: &Ctx<'_>| {
        let place = ctx.record_metadata().expect("a record is in work");
        format!("{} {}-{}@{}", ctx.node_name(), place.topic, place.partition, place.offset)
    };
    let mut topology = Topology::builder();
    let mut nodes = vec![topology.source("lines", ["in", "more"], (Utf8, Utf8))];
    for name in ["first", "second"] {
        let notes = notes.clone();
        nodes.push(topology.processor(name, &nodes[nodes.len() - 1..], move || {
            let notes = notes.clone();
            move |ctx: &mut Ctx<'_>, record: Line| {
                notes.add(place(ctx));
                ctx.forward(record)
            }
        }));
    }
    let mut driver = driver(topology.build().unwrap());
    pipe(&mut driver, "in", "a", 0).unwrap();
    pipe(&mut driver, "in", "b", 0).unwrap();
    pipe(&mut driver, "more", "c", 0).unwrap();
    let expected =
        ["first in-0@0", "second in-0@0", "first in-0@1", "second in-0@1", "first more-0@0"];
    assert_eq!(notes.all()[..5], expected);
}

#[test]
fn headers_survive_and_do_not_leak_to_siblings() {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let mut tag = |name: &'static str, parent| {
        topology.processor(name, &[parent], move || {
            move |ctx: &mut Ctx<'_>, mut record: Line| {
                record.headers.push(name, Some(name.as_bytes()));
                ctx.forward(record)
            }
        })
    };
    let parent = tag("parent", lines);
    let (one, two) = (tag("one", parent), tag("two", parent));
    topology.sink("sink-one", &[one], "out-one", (Utf8, Utf8));
    topology.sink("sink-two", &[two], "out-two", (Utf8, Utf8));
    let mut driver = driver(topology.build().unwrap());
    let mut headers = Headers::default();
    headers.push("origin", None);
    let record = line("k", "v", 0).with_headers(headers);
    driver.input("in", Utf8, Utf8).pipe_record(record).unwrap();

    for (topic, last) in [("out-one", "one"), ("out-two", "two")] {
        let records = driver.output(topic, Utf8, Utf8).read().unwrap();
        let names: Vec<&str> = records[0].headers.iter().map(|header| &*header.name).collect();
        assert_eq!(names, ["origin", "parent", last]);
        assert_eq!(records[0].headers.last("origin"), Some(None));
        assert_eq!(records[0].headers.last(last), Some(Some(last.as_bytes())));
    }
}

struct Tell(Notes);

impl Processor<String, String, String, String> for Tell {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
        self.0.add(format!("init {} of {}", ctx.task_id(), ctx.application_id()));
        self.0.add(format!("{} {:?}", ctx.stream_time(), ctx.record_metadata()));
        Ok(())
    }

    fn process(&mut self, ctx: &mut Ctx<'_>, record: Line) -> Result {
        let times = format!("stream {} system {}", ctx.stream_time(), ctx.system_time());
        self.0.add(format!("{} {} at {times}", ctx.task_id(), record.value));
        Ok(())
    }

    fn close(&mut self) {
        self.0.add("close");
    }
}

#[test]
fn a_processor_can_ask_who_it_is_and_what_time_it_is() {
    let notes = Notes::default();
    let tell = notes.clone();
    let topology = through(move || Tell(tell.clone()));
    let mut driver =
        TestDriver::builder(topology, Config::new("app")).start_at(at(7)).build().unwrap();
    pipe(&mut driver, "in", "a", 50).unwrap();
    pipe(&mut driver, "in", "late", 20).unwrap();
    driver.advance_time(ms(3)).unwrap();
    pipe(&mut driver, "in", "b", 60).unwrap();
    let expected = [
        "init 0_0 of app",
        "-1 None",
        "0_0 a at stream 50 system 7",
        "0_0 late at stream 50 system 7",
        "0_0 b at stream 60 system 10",
    ];
    assert_eq!(notes.all(), expected);
}

#[test]
fn each_task_is_initialised_and_closed_once() {
    let notes = Notes::default();
    let tell = notes.clone();
    let topology = through(move || Tell(tell.clone()));
    let mut driver =
        TestDriver::builder(topology, Config::new("app")).partitions("in", 3).build().unwrap();
    for key in ["a", "b", "c", "d", "e", "f"] {
        driver.input("in", Utf8, Utf8).pipe(key.into(), "v".into()).unwrap();
    }
    driver.close().unwrap();
    for task in ["0_0", "0_1", "0_2"] {
        assert_eq!(notes.count(&format!("init {task} of app")), 1);
    }
    assert_eq!(notes.count("close"), 3);
    assert_eq!(notes.all()[notes.len() - 3..], ["close", "close", "close"]);
}

#[test]
fn closures_and_functions_are_processors_and_may_change_types() {
    fn split(ctx: &mut Context<'_, String, usize>, record: Line) -> Result {
        for word in record.value.split(' ') {
            ctx.forward(Record::new(word.to_owned(), word.len(), record.timestamp))?;
        }
        Ok(())
    }
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let lengths = topology.processor("split", &[lines], || split);
    let sums = topology.processor("sum", &[lengths], || {
        let mut total = 0;
        move |ctx: &mut Context<'_, String, u64>, word: Record<String, usize>| {
            total += word.value as u64;
            ctx.forward(word.with_value(total))
        }
    });
    topology.sink("sink", &[sums], "out", (Utf8, U64));
    let mut driver = driver(topology.build().unwrap());
    pipe(&mut driver, "in", "to be or", 4).unwrap();
    let records = driver.output("out", Utf8, U64).read().unwrap();
    let seen: Vec<_> = records.iter().map(|r| (r.key.as_str(), r.value, r.timestamp)).collect();
    assert_eq!(seen, [("to", 2, at(4)), ("be", 4, at(4)), ("or", 6, at(4))]);
}

#[derive(Default)]
struct Lengths {
    held: Vec<FixedKeyRecord<String, u64>>,
}

impl FixedKeyProcessor<String, String, u64> for Lengths {
    fn init(&mut self, ctx: &mut FixedKeyInit<'_, Self, String, String, u64>) -> Result {
        ctx.child("sink")?;
        ctx.schedule(Every::wall_clock(ms(10)), |own: &mut Self, ctx, _now| {
            own.held.drain(..).try_for_each(|record| ctx.forward(record))
        })?;
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut FixedKeyContext<'_, String, u64>,
        record: FixedKeyRecord<String, String>,
    ) -> Result {
        let record = record.map_value(|text| text.len() as u64);
        if *record.value() > 3 {
            self.held.push(record);
            return Ok(());
        }
        ctx.forward(record)
    }
}

#[test]
fn a_fixed_key_processor_changes_values_now_or_later() {
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let lengths = topology.fixed_key_processor("lengths", &[lines], Lengths::default);
    topology.sink("sink", &[lengths], "out", (Utf8, U64));
    let mut driver = driver(topology.build().unwrap());
    pipe(&mut driver, "in", "a long one", 5).unwrap();
    pipe(&mut driver, "in", "abc", 6).unwrap();
    assert_eq!(driver.output("out", Utf8, U64).read_values().unwrap(), [3]);
    driver.advance_time(ms(10)).unwrap();
    let records = driver.output("out", Utf8, U64).read().unwrap();
    assert_eq!((records[0].value, records[0].timestamp), (10, at(5)));
}

struct Hold(Vec<Line>);

impl Processor<String, String, String, String> for Hold {
    fn process(&mut self, _: &mut Ctx<'_>, record: Line) -> Result {
        self.0.push(record);
        Ok(())
    }

    fn flush(&mut self, ctx: &mut Ctx<'_>) -> Result {
        self.0.drain(..).try_for_each(|record| ctx.forward(record))
    }
}

#[test]
fn what_is_held_back_is_forwarded_before_the_commit() {
    let log = log_with(1);
    produce(&log, "in", &["a", "b"]);
    let app = run(through(|| Hold(Vec::new())), config(), &log);
    eventually("committed", || committed(&log, "in", 0) == Some(2));
    assert_eq!(texts(&log, "out"), ["a", "b"]);
    assert!(app.close(SOON));
}

#[test]
fn a_processor_can_ask_for_a_commit_before_the_interval() {
    let log = log_with(1);
    let topology = observed(|ctx, record| {
        if record.value == "now" {
            ctx.request_commit();
        }
        Ok(())
    });
    let app = run(topology, config().commit_interval(NEVER), &log);
    produce(&log, "in", &["a", "b"]);
    eventually("processed", || log.records("out").len() == 2);
    assert_eq!(committed(&log, "in", 0), None);
    produce(&log, "in", &["now"]);
    eventually("committed", || committed(&log, "in", 0) == Some(3));
    assert!(app.close(SOON));
}

#[test]
fn a_child_of_another_processor_cannot_be_forwarded_to() {
    let stray: Arc<Mutex<Option<Child<String, String>>>> = Arc::default();
    struct Lend(Arc<Mutex<Option<Child<String, String>>>>);
    impl Processor<String, String, String, String> for Lend {
        fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
            *self.0.lock().expect("no panic") = Some(ctx.child("two")?);
            Ok(())
        }
        fn process(&mut self, ctx: &mut Ctx<'_>, record: Line) -> Result {
            ctx.forward(record)
        }
    }
    let (lent, taken) = (Arc::clone(&stray), stray);
    let mut topology = Topology::builder();
    let lines = topology.source("lines", "in", (Utf8, Utf8));
    let lend = topology.processor("lend", &[lines], move || Lend(Arc::clone(&lent)));
    let take = topology.processor("take", &[lines], move || {
        let taken = Arc::clone(&taken);
        move |ctx: &mut Ctx<'_>, record: Line| {
            let child = taken.lock().expect("no panic").expect("lent in init");
            ctx.forward_to(child, record)
        }
    });
    topology.sink("one", &[lend, take], "out", (Utf8, Utf8));
    topology.sink("two", &[lend], "two", (Utf8, Utf8));
    let error = pipe(&mut driver(topology.build().unwrap()), "in", "v", 0).unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::User, Some("take")));
}
