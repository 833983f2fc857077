//! What the bench programs share: arguments, plots, and what the process has cost so far.

pub mod bars;
pub mod graphs;
pub mod peer;
pub mod workloads;

use std::collections::BTreeMap;
use std::time::Duration;

use kstreams::Guarantee;

/// Arguments of the form `--name value`.
#[derive(Debug, Default)]
pub struct Args(BTreeMap<String, String>);

impl Args {
    /// Reads the program's arguments.
    ///
    /// # Errors
    /// If one is not of the form `--name value`, or not among `known`.
    pub fn read(known: &[&str]) -> Result<Self, String> {
        let mut args = BTreeMap::new();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").filter(|name| known.contains(name));
            let name = name.ok_or_else(|| {
                format!("unknown argument {word}; known: --{}", known.join(", --"))
            })?;
            let value = words.next().ok_or_else(|| format!("--{name} needs a value"))?;
            args.insert(name.to_owned(), value);
        }
        Ok(Self(args))
    }

    /// The value of an argument, or a default.
    pub fn get<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.0.get(name).map_or(default, String::as_str)
    }

    /// `--guarantee at-least-once|exactly-once`, the first unless told.
    ///
    /// # Errors
    /// If it is another one.
    pub fn guarantee(&self) -> Result<Guarantee, String> {
        match self.get("guarantee", "at-least-once") {
            "at-least-once" => Ok(Guarantee::AtLeastOnce),
            "exactly-once" => Ok(Guarantee::ExactlyOnce),
            other => Err(format!("--guarantee {other}")),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// If it is none.
    pub fn number(&self, name: &str, default: u64) -> Result<u64, String> {
        match self.0.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| format!("--{name}: {text} is no number")),
        }
    }
}

/// CPU time of the whole process so far, user and system, to 10 ms.
pub fn cpu_time() -> Duration {
    // Ticks are 10 ms on every Linux that this runs on (USER_HZ).
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let fields: Vec<u64> = after_name.split(' ').map(|text| text.parse().unwrap_or(0)).collect();
    let ticks = fields.get(11).unwrap_or(&0) + fields.get(12).unwrap_or(&0);
    Duration::from_millis(ticks * 10)
}

/// The largest resident size of the process so far, in MiB.
pub fn peak_rss_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
