//! The life of an application: states, closing from everywhere, pausing.

use std::sync::OnceLock;

use crate::support::*;
use kstreams::ErrorKind;
use kstreams::time::{Clock, SystemClock};

fn plain() -> Topology {
    observed(|_, _| Ok(()))
}

fn listening(notes: &Notes) -> Config {
    let notes = notes.clone();
    config().on_state(move |old, new| notes.add(format!("{old:?} -> {new:?}")))
}

#[test]
fn a_listener_sees_every_state_in_order() {
    let notes = Notes::default();
    let app = Streams::new(plain(), listening(&notes), log_with(2)).unwrap();
    assert_eq!(app.state(), State::Created);
    app.start().unwrap();
    assert!(app.wait_for(State::Running, SOON));
    assert!(app.close(SOON));
    assert_eq!(app.state(), State::NotRunning);
    let expected = [
        "Created -> Rebalancing",
        "Rebalancing -> Running",
        "Running -> PendingShutdown",
        "PendingShutdown -> NotRunning",
    ];
    assert_eq!(notes.all(), expected);
}

#[test]
fn a_failure_goes_through_pending_error() {
    let notes = Notes::default();
    let log = log_with(1);
    let app = run(observed(|_, _| Err("broken".into())), listening(&notes), &log);
    produce(&log, "in", &["x"]);
    assert!(app.wait_for(State::Error, SOON));
    eventually("told", || notes.has("PendingError -> Error"));
    let all = notes.all();
    assert!(all[all.len() - 2].ends_with("-> PendingError"), "{all:?}");
}

#[test]
fn closing_before_the_start_ends_it() {
    let app = Streams::new(plain(), config(), log_with(1)).unwrap();
    assert!(app.close(SOON));
    assert_eq!(app.state(), State::NotRunning);
    assert_eq!(app.start().unwrap_err().kind(), ErrorKind::Closed);
    assert!(app.close(SOON), "twice");
}

#[test]
fn closing_right_after_the_start_ends_it() {
    for _ in 0..20 {
        let app = Streams::new(plain(), config().threads(2), log_with(4)).unwrap();
        app.start().unwrap();
        assert!(app.close(SOON));
        assert_eq!(app.state(), State::NotRunning);
    }
}

#[test]
fn closing_twice_and_at_the_same_time_is_fine() {
    let app = Arc::new(run(plain(), config(), &log_with(1)));
    let other = Arc::clone(&app);
    let thread = std::thread::spawn(move || other.close(SOON));
    assert!(app.close(SOON));
    assert!(thread.join().unwrap());
    assert!(app.close(SOON));
    assert_eq!(app.state(), State::NotRunning);
}

#[test]
fn starting_twice_is_refused() {
    let app = run(plain(), config(), &log_with(1));
    let error = app.start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert_eq!(app.state(), State::Running, "and does no harm");
    assert!(app.close(SOON));
    assert_eq!(app.start().unwrap_err().kind(), ErrorKind::Closed);
}

type Cell = Arc<OnceLock<Streams>>;

/// An application whose listener calls `act` with it at the state `when`.
fn acting(when: State, act: impl Fn(&Streams) + Send + Sync + 'static) -> Cell {
    let cell = Cell::default();
    let own = Arc::downgrade(&cell);
    let config = config().on_state(move |_, new| {
        if new == when
            && let Some(cell) = own.upgrade()
            && let Some(app) = cell.get()
        {
            act(app);
        }
    });
    let app = Streams::new(plain(), config, log_with(1)).unwrap();
    cell.set(app).expect("set once");
    cell
}

#[test]
fn closing_from_a_state_listener_does_not_deadlock() {
    for when in [State::Rebalancing, State::Running] {
        let cell = acting(when, |app| {
            app.close(ms(100));
        });
        let own = Arc::clone(&cell);
        bounded(&format!("start, closed at {when:?}"), move || {
            let app = own.get().expect("set");
            // A start that is overtaken by a close may say so.
            let _ = app.start();
            assert!(app.wait_for(State::NotRunning, SOON), "{:?}", app.state());
        });
    }
}

#[test]
fn a_state_listener_may_ask_the_application() {
    for when in [State::Rebalancing, State::Running, State::NotRunning] {
        let cell = acting(when, |app| {
            app.state();
            assert!(app.error().is_none());
            app.tasks();
            app.pause();
            app.resume();
        });
        let own = Arc::clone(&cell);
        bounded(&format!("a listener asks at {when:?}"), move || {
            let app = own.get().expect("set");
            app.start().unwrap();
            assert!(app.wait_for(State::Running, SOON));
            assert!(app.close(SOON));
        });
    }
}

#[test]
fn a_state_listener_may_ask_while_threads_come_and_go() {
    let cell = acting(State::Rebalancing, |app| {
        app.tasks();
    });
    bounded("threads come and go", move || {
        let app = cell.get().expect("set");
        app.start().unwrap();
        for _ in 0..5 {
            assert_eq!(app.add_thread().unwrap(), 1);
            assert!(app.wait_for(State::Running, SOON));
            assert_eq!(app.remove_thread(SOON), Some(1));
        }
        assert!(app.close(SOON));
    });
}

#[test]
fn a_state_listener_that_panics_changes_nothing() {
    let panics = config().on_state(|old, new| panic!("{old:?} -> {new:?}"));
    let app = run(plain(), panics, &log_with(1));
    assert!(app.close(SOON));
    assert_eq!((app.state(), app.error()), (State::NotRunning, None));
}

#[test]
fn closing_from_a_processor_does_not_deadlock() {
    let log = log_with(1);
    let cell = Cell::default();
    let own = Arc::downgrade(&cell);
    let topology = observed(move |_, _| {
        let closed = own.upgrade().and_then(|cell| cell.get().map(|app| app.close(ms(100))));
        assert_ne!(closed, Some(true), "its own thread still works");
        Ok(())
    });
    assert!(cell.set(run(topology, config(), &log)).is_ok());
    produce(&log, "in", &["a"]);
    bounded("close from a processor", move || {
        let app = cell.get().expect("set");
        assert!(app.wait_for(State::NotRunning, SOON), "{:?}", app.state());
        assert!(app.close(SOON));
    });
    assert_eq!(texts(&log, "out"), ["a"], "the record in work is finished");
}

#[test]
fn dropping_an_application_closes_it_and_commits() {
    let log = log_with(1);
    let closed = Notes::default();
    struct Close(Notes);
    impl Processor<String, String, String, String> for Close {
        fn process(&mut self, ctx: &mut Ctx<'_>, record: Line) -> Result {
            ctx.forward(record)
        }
        fn close(&mut self) {
            self.0.add("closed");
        }
    }
    let notes = closed.clone();
    let topology = through(move || Close(notes.clone()));
    let app = run(topology, config().commit_interval(NEVER), &log);
    produce(&log, "in", &["a", "b"]);
    eventually("processed", || log.records("out").len() == 2);
    drop(app);
    assert_eq!(closed.all(), ["closed"]);
    assert_eq!(committed(&log, "in", 0), Some(2));
}

#[test]
fn a_close_that_takes_too_long_says_so_and_ends_later() {
    let log = log_with(1);
    let gate = Arc::new(Mutex::new(()));
    let held = gate.lock().unwrap();
    let (entered, inside) = (Notes::default(), Arc::clone(&gate));
    let notes = entered.clone();
    let topology = observed(move |_, _| {
        notes.add("entered");
        drop(inside.lock().expect("not poisoned"));
        Ok(())
    });
    let app = run(topology, config(), &log);
    produce(&log, "in", &["a"]);
    eventually("in work", || entered.has("entered"));
    let clock = SystemClock::new();
    assert!(!app.close(ms(50)));
    assert!(clock.monotonic() < Duration::from_secs(5));
    assert_eq!(app.state(), State::PendingShutdown);
    drop(held);
    assert!(app.close(SOON));
    assert_eq!(committed(&log, "in", 0), Some(1));
}

#[test]
fn a_paused_application_keeps_its_tasks_and_does_nothing() {
    let log = log_with(1);
    let ticks = Notes::default();
    struct Tick(Notes);
    impl Processor<String, String, String, String> for Tick {
        fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
            ctx.schedule(Every::wall_clock(ms(5)), |own: &mut Self, _: &mut Ctx<'_>, _| {
                own.0.add("tick");
                Ok(())
            })?;
            Ok(())
        }
        fn process(&mut self, ctx: &mut Ctx<'_>, record: Line) -> Result {
            ctx.forward(record)
        }
    }
    let seen = ticks.clone();
    let app = run(through(move || Tick(seen.clone())), config(), &log);
    eventually("it ticks", || ticks.has("tick"));
    app.pause();
    produce(&log, "in", &["a"]);
    // A turn that was under way when it was paused may still end.
    within(ms(50), || false);
    ticks.take();
    let n_before = log.records("out").len();
    assert!(!within(ms(150), || ticks.has("tick") || log.records("out").len() != n_before));
    assert_eq!((app.state(), app.tasks().len()), (State::Running, 1));
    app.resume();
    eventually("it goes on", || texts(&log, "out") == ["a"] && ticks.has("tick"));
    assert!(app.close(SOON));
}

#[test]
fn a_paused_application_can_be_closed() {
    let app = run(plain(), config(), &log_with(1));
    app.pause();
    assert!(app.close(SOON));
}

#[test]
fn what_is_asked_before_the_start_or_after_the_end_is_answered() {
    let (topology, id) = counting(counts_in_memory());
    let app = Streams::new(topology, config(), log_with(1)).unwrap();
    let ask = |app: &Streams| {
        app.pause();
        app.resume();
        assert!(app.tasks().is_empty() && app.stores(&id).is_empty() && app.error().is_none());
        assert_eq!(app.add_thread().unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(app.remove_thread(ms(10)), None);
        assert!(!app.wait_for(State::Running, ms(10)));
    };
    ask(&app);
    app.start().unwrap();
    assert!(app.wait_for(State::Running, SOON));
    assert!(app.close(SOON));
    ask(&app);
}
