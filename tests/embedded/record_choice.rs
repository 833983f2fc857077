//! Which record of a task comes next: the smallest timestamp over its partitions.

use crate::support::*;

/// One task that reads `a` and `b`, and notes values and stream times.
fn merging(config: Config) -> (TestDriver, Notes) {
    let notes = Notes::default();
    let seen = notes.clone();
    let mut topology = Topology::builder();
    let a = topology.source("from-a", "a", (Utf8, Utf8));
    let b = topology.source("from-b", "b", (Utf8, Utf8));
    topology.processor("work", &[a, b], move || {
        let seen = seen.clone();
        move |ctx: &mut Context<'_, (), ()>, record: Line| {
            seen.add(format!("{}@{} {}", record.value, record.timestamp, ctx.stream_time()));
            Ok(())
        }
    });
    (TestDriver::new(topology.build().unwrap(), config).unwrap(), notes)
}

fn put(driver: &TestDriver, topic: &str, times: &[i64]) {
    for millis in times {
        driver.log().produce(topic, "k", topic, at(*millis)).unwrap();
    }
}

#[test]
fn the_smallest_timestamp_of_all_partitions_comes_first() {
    let (mut driver, notes) = merging(Config::new("app"));
    put(&driver, "a", &[1, 4, 5, 9]);
    put(&driver, "b", &[2, 3, 6, 7]);
    driver.settle().unwrap();
    let expected = ["a@1 1", "b@2 2", "b@3 3", "a@4 4", "a@5 5", "b@6 6", "b@7 7", "a@9 9"];
    assert_eq!(notes.all(), expected);
}

#[test]
fn a_partition_keeps_its_order_and_stream_time_never_goes_back() {
    let (mut driver, notes) = merging(Config::new("app"));
    put(&driver, "a", &[10, 2, 30]);
    put(&driver, "b", &[5, 20, 1]);
    driver.settle().unwrap();
    let expected = ["b@5 5", "a@10 10", "a@2 10", "b@20 20", "b@1 20", "a@30 30"];
    assert_eq!(notes.all(), expected);
}

#[test]
fn without_idling_a_task_does_not_wait_for_an_empty_partition() {
    for idle in [None, Some(Duration::ZERO)] {
        let (mut driver, notes) = merging(Config::new("app").max_task_idle(idle));
        put(&driver, "a", &[5]);
        driver.settle().unwrap();
        assert_eq!(notes.all(), ["a@5 5"], "{idle:?}");
    }
}

#[test]
fn a_task_idles_for_a_partition_that_may_still_get_older_records() {
    let (mut driver, notes) = merging(Config::new("app").max_task_idle(Some(ms(100))));
    put(&driver, "a", &[5, 8]);
    driver.settle().unwrap();
    driver.advance_time(ms(99)).unwrap();
    assert!(notes.all().is_empty(), "{:?}", notes.all());
    put(&driver, "b", &[3, 6]);
    driver.settle().unwrap();
    assert_eq!(notes.take(), ["b@3 3", "a@5 5", "b@6 6"]);
    driver.advance_time(ms(99)).unwrap();
    assert!(notes.all().is_empty(), "it idles anew: {:?}", notes.all());
    driver.advance_time(ms(1)).unwrap();
    assert_eq!(notes.take(), ["a@8 8"]);
}

#[test]
fn tasks_have_stream_times_of_their_own() {
    let notes = Notes::default();
    let seen = notes.clone();
    let topology = observed(move |ctx, record| {
        seen.add(format!("{} {} {}", record.value, ctx.task_id(), ctx.stream_time()));
        Ok(())
    });
    let mut driver =
        TestDriver::builder(topology, Config::new("app")).partitions("in", 2).build().unwrap();
    let mut put = |partition, value: &str, millis| {
        let record = kstreams::log::memory::NewRecord {
            partition: Some(partition),
            value: Some(value.as_bytes()),
            key: Some(b"k"),
            timestamp: at(millis),
            ..Default::default()
        };
        driver.log().produce_record("in", &record).unwrap();
        driver.settle().unwrap();
    };
    put(0, "a", 100);
    put(1, "b", 7);
    put(0, "c", 50);
    assert_eq!(notes.all(), ["a 0_0 100", "b 0_1 7", "c 0_0 100"]);
}
