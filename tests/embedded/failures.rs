//! Errors and panics that no handler takes care of, under each policy.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::*;
use kstreams::ErrorKind;
use kstreams::log::memory::GroupMode;

/// How a processor breaks.
#[derive(Clone, Copy, Debug)]
enum Break {
    Error,
    Panic,
}

impl Break {
    fn now(self) -> Result {
        match self {
            Self::Error => Err("broken".into()),
            Self::Panic => panic!("broken"),
        }
    }

    fn kind(self) -> ErrorKind {
        match self {
            Self::Error => ErrorKind::User,
            Self::Panic => ErrorKind::Panic,
        }
    }
}

const BREAKS: [Break; 2] = [Break::Error, Break::Panic];

/// Breaks at the value `x`: always, or the first time alone.
fn breaking(how: Break, once: bool) -> Topology {
    let broken = Arc::new(AtomicBool::new(false));
    observed(move |_, record| {
        if record.value == "x" && !(broken.swap(true, Ordering::Relaxed) && once) {
            return how.now();
        }
        Ok(())
    })
}

fn started(topology: Topology, config: Config, log: &MemoryLog) -> Streams {
    let app = Streams::new(topology, config, log.clone()).unwrap();
    app.start().unwrap();
    app
}

#[test]
fn a_replaced_thread_processes_the_record_again_and_goes_on() {
    for how in BREAKS {
        let log = log_with(1);
        let asked = Notes::default();
        let seen = asked.clone();
        let config = config().on_uncaught(move |error| {
            seen.add(format!("{:?} {error}", error.kind()));
            UncaughtVerdict::ReplaceThread
        });
        produce(&log, "in", &["a", "x", "b"]);
        let app = started(breaking(how, true), config, &log);
        eventually("all committed", || committed(&log, "in", 0) == Some(3));
        let out = texts(&log, "out");
        // At least once: what came before the failure may come twice, nothing is lost.
        assert_eq!(
            (out[0].as_str(), &out[out.len() - 2..]),
            ("a", &["x", "b"].map(str::to_owned)[..])
        );
        assert_eq!(out.iter().filter(|value| *value == "x").count(), 1);
        assert!(!asked.all().is_empty());
        assert_eq!(app.error(), None);
        assert!(app.wait_for(State::Running, SOON) && app.close(SOON));
        assert_eq!(app.state(), State::NotRunning);
    }
}

#[test]
fn the_default_policy_ends_the_client_and_says_where_it_happened() {
    for how in BREAKS {
        let log = log_with(1);
        produce(&log, "in", &["a", "b", "x", "c"]);
        let app = started(breaking(how, false), config(), &log);
        assert!(app.wait_for(State::Error, SOON), "{:?}", app.state());
        let text = app.error().unwrap();
        for part in ["task 0_0", "node work", "in-0@2", "broken"] {
            assert!(text.contains(part), "no {part} in: {text}");
        }
        assert!(committed(&log, "in", 0).is_none_or(|offset| offset <= 2));
        assert!(!texts(&log, "out").contains(&"c".to_owned()));
        let error = app.take_error().unwrap();
        assert_eq!((error.kind(), error.node()), (how.kind(), Some("work")));
        assert_eq!((error.task(), error.partition()), (Some(task(0, 0)), Some(("in", 0))));
        assert!(app.close(SOON), "closing afterwards is fine");
        assert_eq!(app.state(), State::Error);
    }
}

#[test]
fn what_was_committed_before_a_failure_is_not_processed_again() {
    let log = log_with(1);
    produce(&log, "in", &["a", "b"]);
    let app = run(breaking(Break::Error, false), config(), &log);
    eventually("committed", || committed(&log, "in", 0) == Some(2));
    produce(&log, "in", &["x"]);
    assert!(app.wait_for(State::Error, SOON));
    drop(app);
    let app = run(observed(|_, _| Ok(())), config(), &log);
    eventually("committed", || committed(&log, "in", 0) == Some(3));
    assert_eq!(texts(&log, "out"), ["a", "b", "x"]);
    assert!(app.close(SOON));
}

#[test]
fn the_whole_application_stops_if_a_member_asks_for_it() {
    for mode in [GroupMode::Streams, GroupMode::Classic] {
        let log = with_topics(MemoryLog::builder().group_mode(mode).build(), 2);
        let stop = || config().on_uncaught(|_| UncaughtVerdict::ShutdownApplication);
        let one = run(breaking(Break::Error, false), stop(), &log);
        let two = run(breaking(Break::Error, false), stop(), &log);
        eventually("shared", || one.tasks().len() == 1 && two.tasks().len() == 1);
        produce(&log, "in", &["x"]);
        for app in [&one, &two] {
            assert!(app.wait_for(State::Error, SOON), "{mode:?}: {:?}", app.state());
            assert!(app.error().is_some());
        }
        let errors = [one.error().unwrap(), two.error().unwrap()];
        assert!(errors.iter().any(|error| error.contains("broken")), "{errors:?}");
    }
}

/// Breaks in one of its calls.
struct Fragile {
    at: &'static str,
    how: Break,
    closed: Notes,
}

impl Fragile {
    fn reach(&self, at: &str) -> Result {
        if self.at == at { self.how.now() } else { Ok(()) }
    }
}

impl Processor<String, String, String, String> for Fragile {
    fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
        ctx.schedule(Every::wall_clock(ms(5)), |own: &mut Self, _: &mut Ctx<'_>, _| {
            own.reach("punctuate")
        })?;
        self.reach("init")
    }

    fn process(&mut self, ctx: &mut Ctx<'_>, record: Line) -> Result {
        ctx.forward(record)
    }

    fn flush(&mut self, _: &mut Ctx<'_>) -> Result {
        self.reach("flush")
    }

    fn close(&mut self) {
        self.closed.add("close");
        let _ = self.reach("close");
    }
}

fn fragile(at: &'static str, how: Break) -> (MemoryLog, Streams, Notes) {
    let log = log_with(1);
    let notes = Notes::default();
    let closed = notes.clone();
    produce(&log, "in", &["a"]);
    let topology = through(move || Fragile { at, how, closed: closed.clone() });
    let app = started(topology, config(), &log);
    (log, app, notes)
}

#[test]
fn a_failure_anywhere_in_a_processor_ends_the_client_in_order() {
    for at in ["init", "punctuate", "flush"] {
        for how in BREAKS {
            let (log, app, closed) = fragile(at, how);
            assert!(app.wait_for(State::Error, SOON), "{at}: {:?}", app.state());
            let text = app.error().unwrap();
            for part in ["task 0_0", "node work", "broken"] {
                assert!(text.contains(part), "{at} {how:?}: no {part} in: {text}");
            }
            assert_eq!(app.take_error().unwrap().kind(), how.kind(), "{at}");
            if at != "punctuate" {
                assert_eq!(committed(&log, "in", 0), None, "{at}");
            }
            // A processor that was never initialised need not be closed; none is closed twice.
            assert!(closed.len() <= 1, "{at}");
            assert!(at == "init" || closed.len() == 1, "{at}: closed also after a failure");
        }
    }
}

#[test]
fn a_panic_in_close_does_not_keep_the_application_from_ending() {
    let (log, app, closed) = fragile("close", Break::Panic);
    eventually("committed", || committed(&log, "in", 0) == Some(1));
    assert!(app.close(SOON));
    assert!(app.state().is_terminal());
    assert_eq!(closed.len(), 1);
    assert_eq!(texts(&log, "out"), ["a"]);
}

#[test]
fn one_failing_task_with_replaced_threads_does_not_stop_the_others() {
    let log = log_with(2);
    let config = config().threads(2).on_uncaught(|_| UncaughtVerdict::ReplaceThread);
    let topology = observed(|ctx, record| {
        if ctx.task_id().partition == 0 && record.value == "x" {
            return Err("always".into());
        }
        Ok(())
    });
    let app = run(topology, config, &log);
    let keys: Vec<String> = (0..20).map(|n| format!("{n}")).collect();
    let to = |key: &str| kstreams::partition::partition_for(key.as_bytes(), 2);
    let (zero, one) = (
        keys.iter().find(|key| to(key) == 0).unwrap(),
        keys.iter().find(|key| to(key) == 1).unwrap(),
    );
    log.produce("in", zero, "x", at(0)).unwrap();
    for n in 0..20 {
        log.produce("in", one, n.to_string(), at(n)).unwrap();
    }
    eventually("the other task goes on", || committed(&log, "in", 1) == Some(20));
    assert_eq!(committed(&log, "in", 0).unwrap_or(0), 0);
    assert!(bounded("close", move || app.close(SOON)));
}
