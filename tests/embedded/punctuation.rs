//! Punctuators: when they are called, with what, and what their errors do.

use crate::support::*;
use kstreams::ErrorKind;
use kstreams::punctuation::TimeKind;

/// Notes each call of its punctuator; `on_tick` may do more.
struct Ticks<F> {
    every: Every,
    notes: Notes,
    on_tick: F,
}

impl<F> Processor<String, String, String, String> for Ticks<F>
where
    F: FnMut(&mut Ctx<'_>, Timestamp) -> Result + Send + 'static,
{
    fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
        ctx.schedule(self.every, Self::tick)?;
        Ok(())
    }

    fn process(&mut self, _: &mut Ctx<'_>, record: Line) -> Result {
        self.notes.add(format!("record {}", record.timestamp));
        Ok(())
    }
}

impl<F: FnMut(&mut Ctx<'_>, Timestamp) -> Result> Ticks<F> {
    fn tick(&mut self, ctx: &mut Ctx<'_>, now: Timestamp) -> Result {
        self.notes.add(format!("tick {now}"));
        (self.on_tick)(ctx, now)
    }
}

fn ticking<F>(every: Every, config: Config, start: i64, on_tick: F) -> (TestDriver, Notes)
where
    F: FnMut(&mut Ctx<'_>, Timestamp) -> Result + Clone + Send + Sync + 'static,
{
    let notes = Notes::default();
    let seen = notes.clone();
    let topology = through(move || Ticks { every, notes: seen.clone(), on_tick: on_tick.clone() });
    let driver = TestDriver::builder(topology, config).start_at(at(start)).build().unwrap();
    (driver, notes)
}

/// The ticks after records with these times, and after wall-clock steps.
fn ticks(every: Every, start: i64, steps: &[i64]) -> Vec<Vec<String>> {
    let (mut driver, notes) = ticking(every, Config::new("app"), start, |_, _| Ok(()));
    let step = |step: &i64| {
        match every.kind() {
            TimeKind::Stream => pipe(&mut driver, "in", "v", *step).unwrap(),
            TimeKind::WallClock => driver.advance_time(ms(*step as u64)).unwrap(),
        }
        notes.take().into_iter().filter(|note| note.starts_with("tick")).collect()
    };
    steps.iter().map(step).collect()
}

#[test]
fn stream_time_calls_start_with_the_first_record_and_collapse() {
    let every = Every::stream_time(ms(10));
    let seen = ticks(every, 0, &[3, 9, 10, 47, 20, 49, 50]);
    let expected =
        [vec!["tick 3"], vec![], vec!["tick 10"], vec!["tick 47"], vec![], vec![], vec!["tick 50"]];
    assert_eq!(seen, expected);
}

#[test]
fn stream_time_stands_still_without_records() {
    let every = Every::stream_time(ms(10));
    let (mut driver, notes) = ticking(every, Config::new("app"), 0, |_, _| Ok(()));
    driver.advance_time(ms(1000)).unwrap();
    assert!(notes.all().is_empty());
    pipe(&mut driver, "in", "v", 5).unwrap();
    driver.advance_time(ms(1000)).unwrap();
    assert_eq!(notes.all(), ["record 5", "tick 5"], "after the record that moved the time");
}

#[test]
fn wall_clock_calls_start_one_interval_from_now_and_collapse() {
    let every = Every::wall_clock(ms(10));
    let seen = ticks(every, 100, &[9, 1, 35, 4, 1]);
    let expected = [vec![], vec!["tick 110"], vec!["tick 145"], vec![], vec!["tick 150"]];
    assert_eq!(seen, expected);
}

#[test]
fn an_anchor_in_the_future_is_waited_for() {
    let wall = Every::wall_clock(ms(10)).from(at(25));
    assert_eq!(ticks(wall, 0, &[24, 1, 9, 1]), [vec![], vec!["tick 25"], vec![], vec!["tick 35"]]);
    let stream = Every::stream_time(ms(10)).from(at(25));
    let seen = ticks(stream, 0, &[24, 26, 34, 36]);
    assert_eq!(seen, [vec![], vec!["tick 26"], vec![], vec!["tick 36"]]);
}

#[test]
fn an_anchor_in_the_past_gives_the_next_moment_of_its_grid() {
    let wall = Every::wall_clock(ms(10)).from(at(5));
    assert_eq!(ticks(wall, 100, &[4, 1, 10]), [vec![], vec!["tick 105"], vec!["tick 115"]]);
}

#[test]
fn a_punctuator_has_no_record_and_may_forward() {
    let every = Every::wall_clock(ms(10));
    let (mut driver, _) = ticking(every, Config::new("app"), 0, |ctx, now| {
        assert!(ctx.record_metadata().is_none());
        ctx.forward(line("k", &format!("{} {}", now, ctx.stream_time()), now.as_millis()))
    });
    driver.advance_time(ms(10)).unwrap();
    pipe(&mut driver, "in", "v", 500).unwrap();
    driver.advance_time(ms(10)).unwrap();
    assert_eq!(values(&mut driver, "out"), ["10 -1", "20 500"]);
}

#[test]
fn a_schedule_is_cancelled_from_outside_and_from_inside() {
    #[derive(Default)]
    struct Cancels {
        ours: Option<Schedule>,
        once: Option<Schedule>,
        notes: Notes,
    }
    impl Processor<String, String, String, String> for Cancels {
        fn init(&mut self, ctx: &mut Init<'_, Self, String, String>) -> Result {
            let every = Every::wall_clock(ms(10));
            self.ours = Some(ctx.schedule(every, |own: &mut Self, _: &mut Ctx<'_>, _| {
                own.notes.add("each");
                Ok(())
            })?);
            self.once = Some(ctx.schedule(every, |own: &mut Self, _: &mut Ctx<'_>, _| {
                own.notes.add("once");
                own.once.iter().for_each(Schedule::cancel);
                Ok(())
            })?);
            Ok(())
        }
        fn process(&mut self, _: &mut Ctx<'_>, _: Line) -> Result {
            self.ours.iter().for_each(Schedule::cancel);
            assert!(self.ours.iter().all(|schedule| !schedule.is_active()));
            Ok(())
        }
    }
    let notes = Notes::default();
    let seen = notes.clone();
    let topology = through(move || Cancels { notes: seen.clone(), ..Cancels::default() });
    let mut driver = driver(topology);
    driver.advance_time(ms(10)).unwrap();
    driver.advance_time(ms(10)).unwrap();
    assert_eq!(notes.take(), ["each", "once", "each"]);
    pipe(&mut driver, "in", "stop", 0).unwrap();
    driver.advance_time(ms(50)).unwrap();
    assert!(notes.all().is_empty());
}

#[test]
fn a_record_may_schedule_a_punctuator() {
    struct Later(Notes);
    impl Processor<String, String, String, String> for Later {
        fn process(&mut self, ctx: &mut Ctx<'_>, record: Line) -> Result {
            ctx.schedule(
                Every::wall_clock(ms(10)),
                move |own: &mut Self, _: &mut Ctx<'_>, now: Timestamp| {
                    own.0.add(format!("{} at {now}", record.value));
                    Ok(())
                },
            )?;
            Ok(())
        }
    }
    let notes = Notes::default();
    let seen = notes.clone();
    let mut driver = driver(through(move || Later(seen.clone())));
    pipe(&mut driver, "in", "a", 0).unwrap();
    driver.advance_time(ms(5)).unwrap();
    pipe(&mut driver, "in", "b", 0).unwrap();
    driver.advance_time(ms(5)).unwrap();
    driver.advance_time(ms(5)).unwrap();
    assert_eq!(notes.all(), ["a at 10", "b at 15"]);
}

#[test]
fn an_error_of_a_punctuator_goes_to_the_processing_handler() {
    let asked = Notes::default();
    let seen = asked.clone();
    let handlers = Handlers::default().on_processing(move |failure| {
        seen.add(format!("{} {:?} {}", failure.node, failure.record, failure.error.message()));
        Verdict::Continue
    });
    let every = Every::wall_clock(ms(10));
    let config = Config::new("app").handlers(handlers);
    let (mut driver, notes) = ticking(every, config, 0, |_, _| Err("no".into()));
    driver.advance_time(ms(10)).unwrap();
    driver.advance_time(ms(10)).unwrap();
    assert_eq!(asked.all(), ["work None no", "work None no"]);
    assert_eq!(notes.all(), ["tick 10", "tick 20"]);
}

#[test]
fn by_default_an_error_of_a_punctuator_stops_the_task() {
    let every = Every::stream_time(ms(10));
    let (mut driver, _) = ticking(every, Config::new("app"), 0, |_, _| Err("no".into()));
    let error = pipe(&mut driver, "in", "v", 5).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::User, "no"));
    assert_eq!((error.node(), error.task()), (Some("work"), Some(task(0, 0))));
}

#[test]
fn a_leap_of_a_year_fires_what_was_scheduled_in_process() {
    struct Alarm;
    impl Processor<String, String, String, String> for Alarm {
        fn process(
            &mut self,
            ctx: &mut Context<'_, String, String>,
            record: Record<String, String>,
        ) -> Result {
            let key = record.key;
            let ring =
                move |_: &mut Self, ctx: &mut Context<'_, String, String>, now: Timestamp| {
                    ctx.forward(Record::new(key.clone(), "ring".to_owned(), now))
                };
            ctx.schedule(Every::wall_clock(Duration::from_secs(5)), ring).map(drop)
        }
    }
    let mut topology = Topology::builder();
    let source = topology.source("source", "in", (Utf8, Utf8));
    let alarm = topology.processor("alarm", &[source], || Alarm);
    topology.sink("sink", &[alarm], "out", (Utf8, Utf8));
    let mut driver = TestDriver::new(topology.build().unwrap(), Config::new("leap")).unwrap();
    driver.input("in", Utf8, Utf8).pipe("k".into(), "v".into()).unwrap();
    driver.advance_time(Duration::from_secs(365 * 86_400)).unwrap();
    let rung = driver.output("out", Utf8, Utf8).read_pairs().unwrap();
    assert_eq!(rung, [("k".to_owned(), "ring".to_owned())]);
}
