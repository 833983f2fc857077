//! Runs a case here and on Java's `TopologyTestDriver`, and compares.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use kstreams_broker::{Java, golden};
use kstreams_core::Error;
use kstreams_runtime::Config;
use kstreams_runtime::testing::TestDriver;
use kstreams_runtime::transport::Log;

use super::input::{Step, header_text, hex, topics};
use super::text::Text;

/// What a topology did: its description, and what each step wrote.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) description: Vec<String>,
    pub(super) steps: Vec<Vec<String>>,
    pub(super) error: Option<String>,
}

/// A Java process that runs cases for as long as we send some.
pub(super) struct Twin {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Twin {
    pub(super) fn start() -> Self {
        let mut command = Java::prepare().unwrap().command(golden::DSL);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from }
    }

    /// Sends a case; Java reads all of it before it answers.
    pub(super) fn send(&mut self, topology: &[&str], steps: &[Step]) {
        let mut text = String::new();
        let steps = steps.iter().map(Step::line);
        let lines = topology.iter().map(|line| (*line).to_owned());
        for line in lines.chain(["input".to_owned()]).chain(steps).chain(["run".to_owned()]) {
            text.push_str(&line);
            text.push('\n');
        }
        let to = self.to.as_mut().unwrap();
        to.write_all(text.as_bytes()).unwrap();
        to.flush().unwrap();
    }

    pub(super) fn answer(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        let mut is_described = false;
        loop {
            let mut line = String::new();
            assert!(self.from.read_line(&mut line).unwrap() > 0, "the Java program ended");
            let line = line.trim_end_matches('\n');
            match line {
                "end" => return outcome,
                "output" => is_described = true,
                "step" => outcome.steps.push(Vec::new()),
                _ => match line.strip_prefix("error ") {
                    Some(error) => outcome.error = Some(error.to_owned()),
                    None if is_described => {
                        outcome.steps.last_mut().unwrap().push(line.to_owned());
                    }
                    None => outcome.description.push(line.to_owned()),
                },
            }
        }
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        // The end of its input ends the program.
        self.to = None;
        let _ = self.child.wait();
    }
}

/// Runs a case on the engine of this crate.
pub(super) fn ours(lines: &[&str], steps: &[Step]) -> Outcome {
    let mut outcome = Outcome::default();
    let topology = match Text::build(lines).build() {
        Ok(topology) => topology,
        Err(errors) => return Outcome { error: Some(errors.to_string()), ..outcome },
    };
    outcome.description = topology.describe().lines().map(str::to_owned).collect();
    let mut driver = TestDriver::builder(topology, Config::new("app"));
    for topic in dynamic_topics(lines) {
        driver = driver.partitions(&topic, 1);
    }
    let mut driver = driver.build().unwrap();
    let (inputs, mut seen) = (topics(lines), BTreeMap::new());
    for step in steps {
        driver = match step.take(driver) {
            Ok(driver) => driver,
            Err(error) => {
                outcome.error = Some(error.to_string());
                break;
            }
        };
        outcome.steps.push(written(&driver, &inputs, &mut seen).unwrap());
    }
    outcome
}

/// The topics that `to_dynamic` can choose.
pub(crate) fn dynamic_topics(lines: &[&str]) -> Vec<String> {
    let stages = lines.iter().flat_map(|line| line.split(" | "));
    let prefixes = stages.filter_map(|stage| stage.trim().strip_prefix("to_dynamic "));
    prefixes.flat_map(|prefix| [format!("{prefix}0"), format!("{prefix}1")]).collect()
}

/// What was written since the last call, as lines, by topic.
fn written(
    driver: &TestDriver,
    inputs: &[String],
    seen: &mut BTreeMap<String, usize>,
) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    let topics = driver.log().admin()?.topics(Duration::ZERO)?;
    let mut names: Vec<String> = topics.into_iter().map(|topic| topic.name).collect();
    names.retain(|name| !inputs.contains(name));
    names.sort();
    for name in names {
        let records = driver.log().records(&name);
        let n_seen = seen.insert(name.clone(), records.len()).unwrap_or_default();
        for record in &records[n_seen..] {
            let (key, value) = (hex(record.key.as_deref()), hex(record.value.as_deref()));
            let time = record.timestamp.as_millis();
            lines.push(format!("{name} {key} {value} {time} {}", header_text(&record.headers)));
        }
    }
    Ok(lines)
}

/// Runs a case on both sides at once: how many records were equal, or what differs.
pub(super) fn compare(twin: &mut Twin, lines: &[&str], steps: &[Step]) -> Result<usize, String> {
    twin.send(lines, steps);
    let (mut ours, mut java) = (ours(lines, steps), twin.answer());
    if java.error.as_ref().is_some_and(|error| error.contains(NOT_MERGED)) {
        return Ok(0);
    }
    if steps.iter().any(|step| matches!(step, Step::Restart)) {
        java.steps.iter_mut().chain(&mut ours.steps).flatten().for_each(without_sequence);
    }
    if lines.iter().any(|line| line.contains("sessions") && line.contains(CLOSE)) {
        // Of sessions that end at the same time Java's store in memory has the keys in order, that on
        // disk their starts, as both have here.
        java.steps.iter_mut().chain(&mut ours.steps).for_each(|step| step.sort());
    }
    if let Some(error) = java.error.as_ref().filter(|error| error.contains(NOT_KNOWN)) {
        return Err(error.clone());
    }
    match difference(&java, &ours) {
        Some(difference) => Err(difference),
        None => Ok(ours.steps.iter().map(Vec::len).sum()),
    }
}

/// Blots out the number behind key and time in what stores of stream joins log.
fn without_sequence(line: &mut String) {
    let is_of_join = |topic: &str| JOINED.iter().any(|name| topic.contains(name));
    let place = line.split_once(' ').filter(|(topic, _)| is_of_join(topic));
    if let Some((topic, rest)) = place
        && let Some(key) = rest.split(' ').next()
    {
        let end = topic.len() + 1 + key.len();
        line.replace_range(end - SEQUENCE.len()..end, SEQUENCE);
    }
}

const SEQUENCE: &str = "........";
/// In the names of stores that keep the records of one side of a stream join.
const JOINED: [&str; 6] = [
    "KSTREAM-JOINTHIS-",
    "KSTREAM-JOINOTHER-",
    "KSTREAM-OUTERTHIS-",
    "KSTREAM-OUTEROTHER-",
    "-this-join-store-",
    "-other-join-store-",
];

/// What Java fails with that does not know an operator or a function.
const NOT_KNOWN: &str = "IllegalArgumentException: no ";
/// In the text of windows whose results are told once.
pub(crate) const CLOSE: &str = "emit=close";
/// What Java fails with where it would merge repartitionings that share an operator.
const NOT_MERGED: &str = "Found a null keyChangingChild node";

/// Where two outcomes differ; `None` if they are equal.
pub(super) fn difference(java: &Outcome, ours: &Outcome) -> Option<String> {
    let (theirs, own) = (normal(&java.description), normal(&ours.description));
    if let (Some(error), true) = (&java.error, theirs.is_empty()) {
        return Some(format!("Java does not build it: {error}"));
    }
    if theirs != own {
        return Some(format!(
            "describe() differs\n--- java\n{}\n--- ours\n{}",
            theirs.join("\n"),
            own.join("\n")
        ));
    }
    for (index, (theirs, own)) in java.steps.iter().zip(&ours.steps).enumerate() {
        let (theirs, own) = (in_order(theirs), in_order(own));
        if theirs != own {
            return Some(format!(
                "step {index} differs\n--- java\n{}\n--- ours\n{}",
                theirs.join("\n"),
                own.join("\n")
            ));
        }
    }
    (java.steps.len() != ours.steps.len() || java.error.is_some() != ours.error.is_some())
        .then(|| format!("java: {:?}\nours: {:?}", java.error, ours.error))
}

/// Java writes what has changed in a suppression's buffer in the order of a hash set.
fn in_order(lines: &[String]) -> Vec<String> {
    let topic = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
    let mut lines = lines.to_vec();
    for of_topic in lines.chunk_by_mut(|one, two| topic(one) == topic(two)) {
        let topic = topic(&of_topic[0]);
        if BUFFERS.iter().any(|name| topic.contains(name)) {
            of_topic.sort();
        }
    }
    lines
}

/// What the changelogs of suppressions have in their names here.
pub(crate) const BUFFERS: [&str; 3] = ["KTABLE-SUPPRESS-", "app-final-store-", "app-held-store-"];

/// Java keeps the stores of a node in a hash set: their order says nothing.
fn normal(description: &[String]) -> Vec<String> {
    let of = |line: &String| {
        if let Some((before, stores)) = line.split_once("(stores: [") {
            let mut stores: Vec<&str> = stores.trim_end_matches("])").split(", ").collect();
            stores.sort_unstable();
            return format!("{before}(stores: [{}])", stores.join(", "));
        }
        let chosen = line.split_once("(extractor class: ");
        chosen.map_or(&**line, |(before, _)| before).trim_end().to_owned()
    };
    let mut lines: Vec<String> = description.iter().map(of).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}
