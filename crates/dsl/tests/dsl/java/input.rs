//! Input from a seed: what is piped into the topics of a topology, and when time is moved.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use kstreams_core::error::Result;
use kstreams_core::random::Random;
use kstreams_core::record::Headers;
use kstreams_core::serde::Nullable;
use kstreams_core::serde::Utf8;
use kstreams_core::time::Timestamp;
use kstreams_runtime::testing::TestDriver;

/// One thing that happens to a topology.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Put {
        topic: String,
        key: Option<String>,
        value: Option<String>,
        time: i64,
        headers: Headers,
    },
    Wait(u64),
    /// The task begins anew, without local state.
    Restart,
}

impl Step {
    /// Does it to our driver.
    pub(super) fn take(&self, mut driver: TestDriver) -> Result<TestDriver> {
        match self {
            Self::Restart => return driver.restart(),
            Self::Wait(millis) => driver.advance_time(Duration::from_millis(*millis))?,
            Self::Put { topic, key, value, time, headers } => {
                let (key, value) = (key.as_deref(), value.as_deref());
                let mut input = driver.input(topic, Nullable(Utf8), Nullable(Utf8));
                let time = Timestamp::from_millis(*time);
                input.pipe_bytes(
                    key.map(str::as_bytes),
                    value.map(str::as_bytes),
                    time,
                    headers,
                )?;
            }
        }
        Ok(driver)
    }

    /// The line that does it to Java's driver.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Restart => "restart".to_owned(),
            Self::Wait(millis) => format!("wait {millis}"),
            Self::Put { topic, key, value, time, headers } => {
                let (key, value) = (key.as_deref(), value.as_deref());
                let (key, value) = (hex(key.map(str::as_bytes)), hex(value.map(str::as_bytes)));
                format!("put {topic} {key} {value} {time} {}", header_text(headers))
            }
        }
    }
}

/// Null is "-", no bytes are "_": the columns of the Java programs.
pub(super) fn hex(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "-".into(),
        Some([]) => "_".into(),
        Some(bytes) => bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}

pub(super) fn header_text(headers: &Headers) -> String {
    if headers.is_empty() {
        return "-".into();
    }
    let of = |header: &kstreams_core::record::Header| {
        format!("{}={}", hex(Some(header.name.as_bytes())), hex(header.value.as_deref()))
    };
    headers.iter().map(of).collect::<Vec<_>>().join(";")
}

/// The words of a line's first stage: where it begins, and from what.
pub(crate) fn source(line: &str) -> impl Iterator<Item = &str> {
    let stages = line.split_once(" = ").map_or(line, |(_, stages)| stages);
    stages.split(" | ").next().unwrap_or_default().split_whitespace()
}

/// The topics that a topology reads from outside, in the order of its text.
pub(crate) fn topics(lines: &[&str]) -> Vec<String> {
    let mut topics = Vec::new();
    for line in lines {
        let mut words = source(line);
        if matches!(words.next(), Some("stream" | "table" | "global")) {
            topics.extend(words.filter(|word| !word.contains('=')).map(str::to_owned));
        }
    }
    topics.sort();
    topics.dedup();
    topics
}

/// The steps of a seed: few keys and values, so that they meet; nulls, tombstones, empty texts, late
/// and equal times, and now and then a leap that closes windows.
pub(super) fn steps(seed: u64, topics: &[String]) -> Vec<Step> {
    let random = Random::seeded(seed);
    let chance = |percent: u64| random.below(100) < percent;
    let mut now = random.below(40) as i64;
    let n_steps = 8 + random.below(32);
    let mut steps = Vec::new();
    for _ in 0..n_steps {
        if chance(4) {
            steps.push(Step::Wait(random.below(2_000)));
            continue;
        }
        if chance(4) {
            steps.push(Step::Restart);
            continue;
        }
        now += match random.below(100) {
            0..30 => 0,
            30..95 => random.below(8),
            _ => random.below(150),
        } as i64;
        let time = if chance(25) { (now - random.below(40) as i64).max(0) } else { now };
        let topic = topics[random.below(topics.len() as u64) as usize].clone();
        let key = match random.below(100) {
            0..6 => None,
            6..8 => Some(String::new()),
            _ => Some(["a", "b", "c"][random.below(3) as usize].to_owned()),
        };
        let value = match random.below(100) {
            0..14 if !topic.starts_with('f') => None,
            0..17 => Some(String::new()),
            _ => {
                let letter = ["a", "b", "m", "é"][random.below(4) as usize];
                Some(format!("{letter}{}", random.below(4)))
            }
        };
        let mut headers = Headers::default();
        for _ in 0..random.below(8).saturating_sub(5) {
            let value = [random.below(256) as u8];
            let value = (!chance(20)).then_some(&value[..]);
            headers.push(["h", "é"][random.below(2) as usize], value);
        }
        steps.push(Step::Put { topic, key, value, time, headers });
    }
    steps
}

/// Moves records to times at which none came before the last restart.
pub(super) fn part_restarts(steps: &mut [Step]) {
    let (mut before, mut since) = (BTreeSet::new(), BTreeSet::new());
    for step in steps {
        match step {
            Step::Put { time, .. } => {
                // By two: tombstones stay apart.
                while before.contains(time) {
                    *time += 2;
                }
                since.insert(*time);
            }
            Step::Restart => before.append(&mut since),
            Step::Wait(_) => {}
        }
    }
}

/// Moves tombstones to times at which no value lies.
pub(super) fn part_tombstones(steps: &mut [Step]) {
    for step in steps {
        if let Step::Put { value, time, .. } = step {
            *time = *time * 2 + i64::from(value.is_none());
        }
    }
}
