//! The sequential interpreter: knows, record by record, what the committed output must be.
//!
//! Every result names the input record it comes from. So the order in which the results of a key
//! were committed says in which order its input was processed; the interpreter does the same, one
//! record after the other, and every result must be equal to its own: once each, none missing.

use std::collections::{BTreeMap, HashMap};

use kstreams::partition::partition_for;

use super::app::{N_PARTITIONS, TALLIES, TOTALS, added, group};

/// An input record, and how far the interpreter has got with it.
struct Input {
    key: u32,
    amount: u32,
    /// The running count of its group; 0 before.
    total: u32,
    /// Its place among the totals of its group's partition.
    place: usize,
    tallied: bool,
}

/// One stage of the application: an output topic and the store behind it.
#[derive(Default)]
struct Stage {
    states: HashMap<String, String>,
    /// The place last done, by key and the partition that its record came through: along one way
    /// records keep their order.
    newest: HashMap<(i32, String), usize>,
}

/// What a look at an output record says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It was looked at.
    Done,
    /// The record it comes from has not been read yet: come again later.
    Later,
}

#[derive(Default)]
pub(super) struct Oracle {
    inputs: [Vec<Input>; N_PARTITIONS as usize],
    totals: Stage,
    n_totals: [usize; N_PARTITIONS as usize],
    tallies: Stage,
    n_done: [usize; N_PARTITIONS as usize],
    /// How many results of each topic and partition came again, and the first and last input records
    /// they come from.
    duplicates: BTreeMap<(String, i32), (u64, String, String)>,
    /// What is wrong otherwise; the first few in words.
    pub(super) n_wrong: u64,
    pub(super) wrong: Vec<String>,
}

impl Oracle {
    /// An input record, in the order of its partition.
    pub(super) fn input(&mut self, partition: i32, key: &str, value: &str) {
        let key = key[1..].parse().unwrap();
        let amount = value.parse().unwrap();
        self.inputs[partition as usize].push(Input {
            key,
            amount,
            total: 0,
            place: 0,
            tallied: false,
        });
    }

    /// A committed record of [`TOTALS`] or [`TALLIES`], in the order of its partition.
    pub(super) fn output(&mut self, topic: &str, partition: i32, key: &str, value: &str) -> Look {
        let fields: Vec<&str> = value.splitn(3, ':').collect();
        let place = |at: usize| fields.get(at).and_then(|field| field.parse::<usize>().ok());
        let (Some(from), Some(offset), Some(result)) = (place(0), place(1), fields.get(2)) else {
            self.wrong(format!("{topic}: {key} = {value} has no origin"));
            return Look::Done;
        };
        let is_total = topic == TOTALS;
        let Some(input) = self.inputs.get_mut(from).and_then(|inputs| inputs.get_mut(offset))
        else {
            return Look::Later;
        };
        let input_key = format!("k{}", input.key);
        let group = group(input.amount.into());
        let through = partition_for(group.as_bytes(), N_PARTITIONS);
        let (expected_key, amount, is_done) = if is_total {
            (group, input.amount, input.total > 0)
        } else {
            (input_key.clone(), input.total, input.tallied)
        };
        if is_done {
            self.duplicate(topic, partition, format!("{from}:{offset}"));
            return Look::Done;
        }
        if amount == 0 {
            return Look::Later;
        }
        let stage = if is_total { &mut self.totals } else { &mut self.tallies };
        let state = added(stage.states.get(&expected_key).map(String::as_str), amount.into());
        let expected = format!("{state}:{input_key}");
        let (way, order) = if is_total {
            input.total = state.split(':').next().and_then(|n| n.parse().ok()).unwrap();
            input.place = self.n_totals[through as usize];
            self.n_totals[through as usize] += 1;
            (from as i32, offset)
        } else {
            input.tallied = true;
            self.n_done[from] += 1;
            (through, input.place)
        };
        let newest = stage.newest.insert((way, expected_key.clone()), order);
        stage.states.insert(expected_key.clone(), state);
        if key != expected_key || *result != expected {
            self.wrong(format!("{topic}: {key} = {value}, not {expected_key} = {expected}"));
        }
        if newest.is_some_and(|newest| newest > order) {
            self.wrong(format!("{topic}: {key} = {value} came too late"));
        }
        if partition != partition_for(key.as_bytes(), N_PARTITIONS) {
            self.wrong(format!("{topic}: {key} = {value} lies in partition {partition}"));
        }
        Look::Done
    }

    /// What the stores' changelogs must hold: `sums`, then `counts`.
    pub(super) fn states(&self) -> [&HashMap<String, String>; 2] {
        [&self.totals.states, &self.tallies.states]
    }

    /// How many input records of each partition there are, and how many have all their output.
    pub(super) fn n_inputs(&self) -> [usize; N_PARTITIONS as usize] {
        self.inputs.each_ref().map(Vec::len)
    }

    pub(super) fn n_done(&self) -> [usize; N_PARTITIONS as usize] {
        self.n_done
    }

    /// How many results are missing, over both topics.
    pub(super) fn n_lost(&self) -> usize {
        let inputs = self.inputs.iter().flatten();
        inputs.map(|i| usize::from(i.total == 0) + usize::from(!i.tallied)).sum()
    }

    /// Which input records lack output: the runs of offsets of each partition.
    pub(super) fn lost(&self) -> Vec<String> {
        let mut lost: Vec<(usize, usize, usize, bool)> = Vec::new();
        for (partition, inputs) in self.inputs.iter().enumerate() {
            for (offset, input) in inputs.iter().enumerate().filter(|(_, i)| !i.tallied) {
                let has_total = input.total > 0;
                match lost.last_mut() {
                    Some((p, _, end, total))
                        if (*p, *end, *total) == (partition, offset, has_total) =>
                    {
                        *end += 1;
                    }
                    _ => lost.push((partition, offset, offset + 1, has_total)),
                }
            }
        }
        let text = |(partition, from, to, has_total): &(usize, usize, usize, bool)| {
            let what = if *has_total { "only the tally is" } else { "total and tally are" };
            format!("partition {partition}, offsets {from} to {to}: {what} missing")
        };
        lost.iter().take(8).map(text).collect()
    }

    fn duplicate(&mut self, topic: &str, partition: i32, origin: String) {
        let known = self.duplicates.entry((topic.to_owned(), partition));
        let (n, _, last) = known.or_insert_with(|| (0, origin.clone(), String::new()));
        *n += 1;
        *last = origin;
    }

    pub(super) fn n_duplicates(&self) -> u64 {
        self.duplicates.values().map(|(n, ..)| n).sum()
    }

    /// Where there are duplicates.
    pub(super) fn duplicates(&self) -> Vec<String> {
        let text = |((topic, partition), (n, first, last)): (&(String, i32), &(u64, _, _))| {
            format!("{topic}, partition {partition}: {n} duplicates, from {first} to {last}")
        };
        self.duplicates.iter().map(text).collect()
    }

    pub(super) fn wrong(&mut self, text: String) {
        self.n_wrong += 1;
        if self.wrong.len() < 10 {
            self.wrong.push(text);
        }
    }
}

#[test]
fn the_interpreter_sees_what_is_doubled_lost_or_changed() {
    let results = [(TOTALS, "g5", "0:0:1:5:k1"), (TOTALS, "g5", "0:1:2:10:k1")];
    let judge = |outputs: &[(&str, &str, &str)]| {
        let mut oracle = Oracle::default();
        oracle.input(0, "k1", "5");
        oracle.input(0, "k1", "5");
        for (topic, key, value) in outputs {
            let partition = partition_for(key.as_bytes(), N_PARTITIONS);
            assert_eq!(oracle.output(topic, partition, key, value), Look::Done);
        }
        (oracle.n_duplicates(), oracle.n_wrong, oracle.n_lost())
    };
    let tallies = [(TALLIES, "k1", "0:0:1:1:k1"), (TALLIES, "k1", "0:1:2:3:k1")];
    let all = [results, tallies].concat();
    assert_eq!(judge(&all), (0, 0, 0));
    assert_eq!(judge(&all[..3]), (0, 0, 1), "one is lost");
    assert_eq!(judge(&[&all[..], &all[3..]].concat()), (1, 0, 0), "one is doubled");
    let again = (TOTALS, "g5", "0:1:3:15:k1");
    assert_eq!(judge(&[all[0], again]).1, 1, "its store counted a record twice");
    assert_eq!(judge(&[all[1], all[0]]).1, 3, "they were processed in the wrong order");
}
