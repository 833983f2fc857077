//! The differential test against Java: the same topology and the same input go through this engine
//! and through the real `TopologyTestDriver` of Kafka Streams 4.3.1, and all they write is equal.
//!
//! Compared, after every single step: every record of every output, changelog and repartition
//! topic, in order, with the bytes of key and value, timestamp and headers; and the text of
//! `describe()` with positional names, but for the order of a node's stores (a hash set in Java) and
//! the class of a dynamic sink's chooser. The changelog of a suppression is compared without its order
//! within a step, a hash set's in Java too. Input has null keys, tombstones, empty texts, headers, late
//! and equal times, and leaps that close windows; it comes from a seed. Stores are in memory,
//! nothing is cached unless a topology says so, and both sides commit after each record.
//!
//! The topologies are those of `topologies.txt`; the language is that of `DslText.java`, and of
//! `text.rs` here. All seeds run on all topologies:
//!
//! ```text
//! cargo test -p kstreams-dsl --test dsl java                              # seeds 0..200
//! KSTREAMS_SEEDS=0..10000 cargo test -p kstreams-dsl --test dsl java::every # some five hours
//! KSTREAMS_TOPOLOGY=outer-join cargo test -p kstreams-dsl --test dsl java # names that contain it
//! ```
//!
//! Long runs (two shared cores, 2026-11-28, with the engine of bd91dac): seeds 0..10000 of the 257 topologies
//! without versioned tables, 5,400 seeds of the 13 with them, which Java keeps on disk: 123,959,904 records after the
//! first 200 seeds, all equal. And 10,000 topologies of `what_grows` (815ce24), but for those that Java
//! cannot build ("null keyChangingChild node").
//!
//! A restart begins anew without local state: `Restart.java` gives Java's driver a new task with what
//! the changelogs hold and the committed positions.
//!
//! Where nothing can be compared:
//! - In stores of stream joins, the number that tells records of one key and time apart: Java's begins
//!   anew with each restart, and a record may take the place of one from before it. Input of joins
//!   has no time on both sides of a restart, and the number is not looked at.
//! - Windows behind a cache over a restart: of a record that is late for their store, and taken since
//!   time is counted anew, Java's cache keeps what the store drops, for as long as there is room.
//! - Of topics that several sub-topologies write, Java's order is that of its one task: no topology
//!   here has one.
//! - In versioned tables, tombstones at the very time of the value that they delete: Java keeps
//!   nothing of them, so that an older value becomes the newest. `versions.rs` has what comes here,
//!   and the input of these topologies has none.
//! - Results on window close without a long retention: Java loses windows that a leap of time carries
//!   past the retention of their store, and every seed leaps. `window_kinds.rs` has what comes here. Of
//!   sessions that close in one step the order: here it is that of Java's store on disk.
//! - Repartition topics that are merged (`optimize`) over processors, or behind an operator that
//!   several groups share: Java moves too much, or fails. `names.rs` has what comes here.
//! - Windowed keys behind `process`: their serde must be given there, in Java as here.
//! - Functions here return no null where their types have none: mappers and joiners of tables.

mod flow;
mod functions;
mod grow;
mod input;
mod run;
mod streams;
mod tables;
mod text;

use std::env;
use std::ops::Range;

use kstreams_broker::golden;

use input::Step;
use run::{Twin, compare};

// The simulation runs the same topologies.
pub(crate) use input::{source, topics as inputs};
pub(crate) use run::{BUFFERS, CLOSE, dynamic_topics};
pub(crate) use text::Text;

const TOPOLOGIES: &str = include_str!("topologies.txt");

/// So many topologies grow for each seed.
const N_GROWN: u64 = 10;
/// After so many that differ there is enough to look at.
const MAX_FAILURES: usize = 10;

/// The names and lines of the topologies to run.
pub(crate) fn topologies() -> Vec<(&'static str, Vec<&'static str>)> {
    let wanted = env::var("KSTREAMS_TOPOLOGY").unwrap_or_default();
    let lines = |text: &'static str| text.lines().filter(|line| !line.is_empty()).collect();
    let cases = golden::cases(TOPOLOGIES).into_iter();
    cases
        .filter(|(name, _)| name.contains(&wanted))
        .map(|(name, text)| (name, lines(text)))
        .collect()
}

/// The seeds to run: 200, unless told.
fn seeds() -> Range<u64> {
    seeds_or(0..200)
}

/// The seeds that `KSTREAMS_SEEDS` says, as `0..10000`, or else these.
pub(crate) fn seeds_or(usual: Range<u64>) -> Range<u64> {
    let Ok(text) = env::var("KSTREAMS_SEEDS") else { return usual };
    let (first, end) = text.split_once("..").expect("KSTREAMS_SEEDS is not of the form 0..200");
    first.parse().unwrap()..end.parse().unwrap()
}

#[test]
fn every_topology_does_what_java_does() {
    let mut twin = Twin::start();
    let (mut failures, mut n_records) = (Vec::new(), 0);
    for (name, lines) in topologies() {
        let topics = input::topics(&lines);
        for seed in seeds() {
            let steps = steps(seed, &lines, &topics);
            match compare(&mut twin, &lines, &steps) {
                Ok(n) => n_records += n,
                Err(first) => {
                    failures.push(report(&mut twin, name, seed, &lines, steps, first));
                    break;
                }
            }
        }
    }
    println!("{n_records} records were equal");
    assert!(failures.is_empty(), "{} differ\n{}", failures.len(), failures.join("\n"));
    assert!(n_records > 0, "nothing was compared");
}

#[test]
fn what_grows_from_a_seed_does_what_java_does() {
    let mut twin = Twin::start();
    let (mut failures, mut n_records) = (Vec::new(), 0);
    let seeds = seeds();
    for seed in seeds.start * N_GROWN..seeds.end * N_GROWN {
        let lines = grow::topology(seed);
        let lines: Vec<&str> = lines.iter().map(|line| &**line).collect();
        let steps = steps(seed, &lines, &input::topics(&lines));
        match compare(&mut twin, &lines, &steps) {
            Ok(n) => n_records += n,
            Err(first) => failures.push(report(&mut twin, "grown", seed, &lines, steps, first)),
        }
        if failures.len() == MAX_FAILURES {
            break;
        }
    }
    println!("{n_records} records were equal");
    assert!(failures.is_empty(), "{} differ\n{}", failures.len(), failures.join("\n"));
    assert!(n_records > 0, "nothing was compared");
}

/// The input of a seed, without what no comparison can be made with.
fn steps(seed: u64, lines: &[&str], topics: &[String]) -> Vec<Step> {
    let mut steps = input::steps(seed, topics);
    let has = |word: &str| lines.iter().any(|line| line.contains(word));
    if has("versioned=") {
        input::part_tombstones(&mut steps);
    }
    if has("join") {
        input::part_restarts(&mut steps);
    }
    if has("cache ") && has("windowed ") {
        steps.retain(|step| !matches!(step, Step::Restart));
    }
    steps
}

/// The shortest input found that shows the difference, and the difference: of `first` when it does not
/// show again.
fn report(
    twin: &mut Twin,
    name: &str,
    seed: u64,
    lines: &[&str],
    mut steps: Vec<Step>,
    first: String,
) -> String {
    let mut index = steps.len();
    while index > 0 {
        index -= 1;
        let removed = steps.remove(index);
        if compare(twin, lines, &steps).is_ok() {
            steps.insert(index, removed);
        }
    }
    let again = compare(twin, lines, &steps).err();
    let difference = again.unwrap_or_else(|| format!("only once: {first}"));
    let input: Vec<String> = steps.iter().map(Step::line).collect();
    format!("=== {name}, seed {seed}\n{}\n\n{}\n{difference}\n", lines.join("\n"), input.join("\n"))
}

#[test]
fn there_are_enough_topologies_and_each_has_its_own_name() {
    let mut names: Vec<&str> =
        golden::cases(TOPOLOGIES).into_iter().map(|(name, _)| name).collect();
    let n_topologies = names.len();
    assert!(n_topologies >= 100, "{n_topologies}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), n_topologies);
}

#[test]
fn a_difference_is_seen() {
    let mut twin = Twin::start();
    let steps = input::steps(1, &["a".into()]);
    assert!(compare(&mut twin, &["stream a | map_values mark | to out"], &steps).is_ok());
    let same = ["stream a | to out"];
    twin.send(&["stream a | map_values mark | to out"], &steps);
    let differs = run::difference(&twin.answer(), &run::ours(&same, &steps));
    assert!(differs.is_some_and(|text| text.starts_with("describe() differs")));
    twin.send(&["stream a | map_values mark | to out"], &steps);
    let differs = run::difference(
        &twin.answer(),
        &run::ours(&["stream a | map_values keyed | to out"], &steps),
    );
    assert!(differs.is_some_and(|text| text.starts_with("step ")));
}
