//! From partitions to tasks: which tasks a classic group's assignment makes up.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use kstreams_core::error::{Error, ErrorKind};
use kstreams_core::task::TaskId;
use kstreams_topology::Layout;

/// The topics whose partitions make tasks: all source topics but those of global stores.
pub(super) fn task_topics(layout: &Layout) -> BTreeSet<Arc<str>> {
    layout.tasks().flat_map(|task| layout.inputs(task)).map(|input| input.topic).collect()
}

/// The tasks that a member owns with these partitions: those whose every input is among them. Also
/// an error of kind `Topic` if the inputs of some task were given to different members.
pub(super) fn owned_tasks(
    layout: &Layout,
    partitions: &HashSet<(String, i32)>,
) -> (BTreeSet<TaskId>, Option<Error>) {
    let mut owned = BTreeSet::new();
    let mut split = None;
    for task in layout.tasks() {
        let inputs = layout.inputs(task);
        let (ours, others): (Vec<_>, Vec<_>) = inputs
            .iter()
            .partition(|input| partitions.contains(&(input.topic.to_string(), input.partition)));
        match (ours.first(), others.first()) {
            (Some(ours), Some(other)) => {
                split.get_or_insert_with(|| not_together(layout, task, &ours.topic, &other.topic));
            }
            (Some(_), None) => {
                owned.insert(task);
            }
            (None, _) => {}
        }
    }
    (owned, split)
}

fn not_together(layout: &Layout, task: TaskId, ours: &str, other: &str) -> Error {
    let inputs = layout.inputs(task);
    let counts = inputs.iter().map(|input| {
        let count = layout.partitions(&input.topic).unwrap_or(0);
        format!("{} ({count})", input.topic)
    });
    let counts: Vec<String> = counts.collect();
    let message = format!(
        "the topics of sub-topology {} are not co-partitioned under the range assignor: {ours} and \
         {other} went to different members; give all of them the same number of partitions, or use \
         the streams group protocol: {}",
        task.subtopology,
        counts.join(", ")
    );
    Error::new(ErrorKind::Topic, message).at_task(task)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kstreams_core::serde::Utf8;
    use kstreams_topology::Topology;

    fn layout(counts: &[(&str, i32)]) -> Layout {
        let mut topology = Topology::builder();
        let names: Vec<String> = counts.iter().map(|(name, _)| (*name).to_owned()).collect();
        topology.source("all", names, (Utf8, Utf8));
        let counts = counts.iter().map(|(name, count)| ((*name).into(), *count)).collect();
        topology.build().expect("valid").layout("app", &counts).expect("laid out")
    }

    fn check(counts: &[(&str, i32)], ours: &[(&str, i32)], tasks: &[&str]) -> Option<Error> {
        let ours = ours.iter().map(|(topic, index)| ((*topic).to_owned(), *index)).collect();
        let (owned, split) = owned_tasks(&layout(counts), &ours);
        let owned: Vec<String> = owned.iter().map(ToString::to_string).collect();
        assert_eq!(owned, tasks);
        split
    }

    #[test]
    fn a_task_is_ours_with_all_its_partitions() {
        assert!(check(&[("a", 2), ("b", 2)], &[("a", 0), ("b", 0)], &["0_0"]).is_none());
        // There is no second partition of a.
        assert!(check(&[("a", 1), ("b", 2)], &[("b", 1)], &["0_1"]).is_none());
    }

    #[test]
    fn a_split_task_is_refused_by_name() {
        let ours = [("a", 0), ("b", 0), ("a", 2)];
        let error = check(&[("a", 4), ("b", 6)], &ours, &["0_0"]).expect("split");
        assert_eq!(error.kind(), ErrorKind::Topic);
        let text = error.to_string();
        assert!(text.contains("0_2") && text.contains("a (4), b (6)"), "{text}");
    }
}
