//! Topologies grown from a seed: any operator behind any other whose types fit.
//!
//! Two flows are joined or merged only if no record can reach both, or none of them has gone
//! through a repartition topic: else the order in which their records meet is Java's order of one
//! task for all sub-topologies, which means nothing.

use std::collections::BTreeSet;

use kstreams_core::random::Random;

/// The type of values, as in `flow.rs`; those of `Doubled` streams are `Opaque`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Values {
    Text,
    Num,
    SomeText,
    SomeNum,
    Opaque,
}
use Values::{Num, Opaque, SomeNum, SomeText, Text};

#[derive(Clone, Debug)]
struct Flow {
    name: String,
    is_table: bool,
    is_windowed: bool,
    values: Values,
    /// The topics it came from.
    roots: BTreeSet<String>,
    /// True if its records may have gone through a repartition topic.
    is_far: bool,
    is_rekeyed: bool,
    is_used: bool,
}

struct Grower {
    random: Random,
    lines: Vec<String>,
    flows: Vec<Flow>,
    n_names: usize,
}

/// The lines of the topology of a seed.
pub(super) fn topology(seed: u64) -> Vec<String> {
    let random = Random::seeded(seed);
    let mut grower = Grower { random, lines: Vec::new(), flows: Vec::new(), n_names: 0 };
    let n_operators = 3 + grower.random.below(8);
    grower.source("stream a", false, SomeText);
    for _ in 0..n_operators {
        grower.operator();
    }
    grower.sinks();
    // Drawn last: what a seed grows is the same with it and without it. Java moves repartitionings
    // over processors.
    let processes = grower.lines.iter().any(|line| line.contains(" process"));
    if grower.chance(25) && !processes {
        grower.lines.push("optimize all".to_owned());
    }
    grower.lines
}

impl Grower {
    fn pick<'a>(&self, of: &[&'a str]) -> &'a str {
        of[self.random.below(of.len() as u64) as usize]
    }

    fn chance(&self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    /// An option with a name that nothing else has, in half of the cases.
    fn option(&mut self, option: &str) -> String {
        self.n_names += 1;
        if self.chance(50) { String::new() } else { format!(" {option}=n{}", self.n_names) }
    }

    fn millis(&self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn source(&mut self, stage: &str, is_table: bool, values: Values) {
        if self.flows.iter().any(|flow| flow.roots.contains(&stage[stage.len() - 1..])) {
            return;
        }
        let roots = BTreeSet::from([stage[stage.len() - 1..].to_owned()]);
        let store = if is_table { self.option("store") } else { String::new() };
        let name = format!("x{}", self.flows.len());
        self.lines.push(format!("{name} = {stage}{store}"));
        self.flows.push(Flow {
            name,
            is_table,
            is_windowed: false,
            values,
            roots,
            is_far: false,
            is_rekeyed: false,
            is_used: false,
        });
    }

    fn operator(&mut self) {
        match self.random.below(12) {
            0 => return self.source("stream b", false, SomeText),
            1 => return self.source("stream f", false, Text),
            2 => return self.source("table t", true, Text),
            3 => return self.source("table u", true, Text),
            _ => {}
        }
        let index = self.random.below(self.flows.len() as u64) as usize;
        let from = self.flows[index].clone();
        if from.values == Opaque {
            return;
        }
        let grown = match (from.is_table, from.is_windowed) {
            (false, false) if self.chance(30) => self.join(&from).or_else(|| self.group(&from)),
            (false, false) if self.chance(45) => self.group(&from),
            (false, _) => Some(self.stateless(&from)),
            (true, false) if self.chance(35) => self.join_table(&from),
            (true, false) if self.chance(35) => self.group_table(&from),
            (true, _) => Some(self.of_table(&from)),
        };
        let Some((stages, mut flow)) = grown else { return };
        self.flows[index].is_used = true;
        flow.name = format!("x{}", self.flows.len());
        flow.is_used = false;
        self.lines.push(format!("{} = {} | {stages}", flow.name, from.name));
        self.flows.push(flow);
    }

    fn stateless(&mut self, from: &Flow) -> (String, Flow) {
        let mut to = from.clone();
        let mut stage = match self.random.below(11) {
            0 | 1 => format!("filter {}", self.pick(&["even", "third", "low"])),
            2 => format!("filter_not {}", self.pick(&["even", "third", "low"])),
            3 | 4 => {
                let mapper = self.pick(&["mark", "keyed", "length", "gap", "gap_length"]);
                to.values = mapped(mapper);
                format!("map_values {mapper}")
            }
            5 => {
                let mapper = self.pick(&["swap", "shift"]);
                to.values = if mapper == "swap" { SomeText } else { Text };
                (to.is_rekeyed, to.is_windowed) = (true, false);
                format!("map {mapper}")
            }
            6 => {
                (to.values, to.is_rekeyed, to.is_windowed) = (Text, true, false);
                "flat_map".into()
            }
            7 => {
                to.values = Text;
                "flat_map_values".into()
            }
            8 | 9 => {
                (to.is_rekeyed, to.is_windowed) = (true, false);
                format!("select_key {}", self.pick(&["mod", "gap", "one", "value", "same"]))
            }
            _ if !from.is_windowed && self.chance(50) => {
                (to.is_far, to.is_rekeyed) = (true, false);
                return (format!("repartition{}", self.option("topic")), to);
            }
            _ => {
                to.values = Text;
                // Behind a processor the serde of a windowed key is not known.
                let ops = ["process_values", "process"];
                let op = self.pick(if from.is_windowed { &ops[..1] } else { &ops });
                to.is_rekeyed |= op == "process";
                op.into()
            }
        };
        stage += &self.option("as");
        (stage, to)
    }

    /// An aggregate, of windows perhaps, or a table of the latest values.
    fn group(&mut self, from: &Flow) -> Option<(String, Flow)> {
        let mut to = from.clone();
        to.is_table = true;
        to.is_far |= to.is_rekeyed;
        if self.chance(15) {
            to.is_rekeyed = false;
            to.values = from.values;
            let (node, store) = (self.option("as"), self.option("store"));
            return Some((format!("to_table{node}{store}"), to));
        }
        let group = match self.pick(&["group_by_key", "group_by"]) {
            "group_by" => {
                to.is_far = true;
                format!("group_by {}", self.pick(&["mod", "gap", "one", "value"]))
            }
            op => op.to_owned(),
        };
        to.is_rekeyed = false;
        let topic = self.option("topic");
        let windows = match self.random.below(5) {
            0 | 1 => {
                to.is_windowed = true;
                let size = 1 + self.millis(25);
                let advance = 1 + self.millis(size);
                format!("windowed {size} {advance} {} | ", self.millis(20))
            }
            2 => {
                to.is_windowed = true;
                format!("sessions {} {} | ", self.millis(12), self.millis(25))
            }
            _ => String::new(),
        };
        let aggregate = match self.random.below(3) {
            0 => {
                to.values = Num;
                "count".to_owned()
            }
            1 => {
                to.values = from.values;
                format!("reduce {}", self.pick(&["append", "larger"]))
            }
            _ => {
                to.values = Text;
                format!("aggregate {}", self.pick(&["list", "forget"]))
            }
        };
        let (node, store) = (self.option("as"), self.option("store"));
        Some((format!("{group}{topic} | {windows}{aggregate}{node}{store}"), to))
    }

    /// Something to join with, that no record reaches besides.
    fn other(&mut self, from: &Flow, fits: impl Fn(&Flow) -> bool) -> Option<Flow> {
        let far = |flow: &Flow| flow.is_far || flow.is_rekeyed;
        let apart = |flow: &Flow| flow.roots.is_disjoint(&from.roots) || !far(flow) && !far(from);
        let fitting: Vec<usize> = (0..self.flows.len())
            .filter(|index| {
                let flow = &self.flows[*index];
                !flow.is_windowed && flow.values != Opaque && apart(flow) && fits(flow)
            })
            .collect();
        let index = *fitting.get(self.random.below(fitting.len() as u64) as usize)?;
        self.flows[index].is_used = true;
        Some(self.flows[index].clone())
    }

    fn joined(from: &Flow, other: &Flow) -> Flow {
        let mut to = from.clone();
        to.roots.extend(other.roots.iter().cloned());
        to.is_far |= from.is_rekeyed || other.is_far || other.is_rekeyed;
        to.is_rekeyed = false;
        to.values = Text;
        to
    }

    fn join(&mut self, from: &Flow) -> Option<(String, Flow)> {
        let values = from.values;
        let fits = |flow: &Flow| match flow.is_table {
            true => matches!(flow.values, Text | Num),
            false => can_join(values, flow.values) || flow.values == values,
        };
        let other = self.other(from, fits)?;
        let mut to = Self::joined(from, &other);
        let node = self.option("as");
        if other.is_table {
            return Some((
                format!("{} {}{node}", self.pick(&["join", "left_join"]), other.name),
                to,
            ));
        }
        if !can_join(values, other.values) || self.chance(20) && values == other.values {
            (to.values, to.is_far) = (values, from.is_far || other.is_far);
            to.is_rekeyed = from.is_rekeyed || other.is_rekeyed;
            return Some((format!("merge {}{node}", other.name), to));
        }
        let op = self.pick(&["join", "left_join", "outer_join"]);
        let times = [self.millis(15), self.millis(15), self.millis(15)];
        let times = times.map(|time| time.to_string()).join(" ");
        Some((format!("{op} {} {times}{node}{}", other.name, self.option("store")), to))
    }

    fn join_table(&mut self, from: &Flow) -> Option<(String, Flow)> {
        if !matches!(from.values, Text | Num) {
            return None;
        }
        let other = self.other(from, |flow| flow.is_table && matches!(flow.values, Text | Num))?;
        let to = Self::joined(from, &other);
        let op = self.pick(&["join", "left_join", "outer_join"]);
        let (node, store) = (self.option("as"), self.option("store"));
        Some((format!("{op} {}{node}{store}", other.name), to))
    }

    fn group_table(&mut self, from: &Flow) -> Option<(String, Flow)> {
        if !matches!(from.values, Text | Num) {
            return None;
        }
        let mut to = from.clone();
        to.is_far = true;
        let key = self.pick(&["mod", "gap", "one", "same"]);
        let topic = self.option("topic");
        let aggregate = match self.random.below(3) {
            0 => {
                to.values = Num;
                "count"
            }
            1 => "reduce append",
            _ => {
                to.values = Text;
                self.pick(&["aggregate list", "aggregate forget"])
            }
        };
        let (node, store) = (self.option("as"), self.option("store"));
        Some((format!("group_by {key}{topic} | {aggregate}{node}{store}"), to))
    }

    fn of_table(&mut self, from: &Flow) -> (String, Flow) {
        let mut to = from.clone();
        let is_plain = matches!(from.values, Text | Num);
        if !is_plain || self.chance(40) {
            (to.is_table, to.values) = match from.values {
                Text => (false, SomeText),
                Num => (false, SomeNum),
                _ => (false, Opaque),
            };
            return (format!("to_stream{}", self.option("as")), to);
        }
        let mut stage = match self.random.below(3) {
            0 => format!("filter {}", self.pick(&["even", "third", "low"])),
            1 => {
                let filter = format!("filter_not {}", self.pick(&["even", "third"]));
                return (filter + &self.option("as"), to);
            }
            _ => {
                let mapper = self.pick(&["mark", "keyed", "length"]);
                to.values = mapped(mapper);
                format!("map_values {mapper}")
            }
        };
        if !from.is_windowed && self.chance(40) {
            stage += &self.option("store");
        }
        (stage + &self.option("as"), to)
    }

    /// What nothing has used goes to a topic of its own.
    fn sinks(&mut self) {
        for (index, flow) in self.flows.iter().enumerate() {
            if flow.is_used && self.random.below(100) < 70 {
                continue;
            }
            let to_stream = if flow.is_table { " | to_stream" } else { "" };
            self.lines.push(format!("{}{to_stream} | to out{index}", flow.name));
        }
    }
}

fn mapped(mapper: &str) -> Values {
    match mapper {
        "length" => Num,
        "gap" => SomeText,
        "gap_length" => SomeNum,
        _ => Text,
    }
}

/// The joins that `streams.rs` has.
fn can_join(left: Values, right: Values) -> bool {
    matches!(
        (left, right),
        (Text, Text | SomeText) | (SomeText, SomeText | Num) | (Num | SomeNum, SomeText)
    )
}
