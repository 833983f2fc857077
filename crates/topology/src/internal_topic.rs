//! Topics that the application creates for itself, with settings as Kafka Streams gives them.
//!
//! The classic control plane creates them; the streams protocol sends their settings to the broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::store::{ChangelogConfig, Cleanup};
use kstreams_core::time::millis;

use crate::layout::Layout;
use crate::store::Changelog;
use crate::topology::Topology;

/// What the application's configuration says about internal topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalTopicSettings {
    /// Added to the retention of window and session changelogs
    /// (`windowstore.changelog.additional.retention.ms`, one day).
    pub additional_retention: Duration,
    /// Settings for all internal topics (the prefix `topic.` in Java); what a store says itself
    /// wins.
    pub overrides: Vec<(String, String)>,
}

impl Default for InternalTopicSettings {
    fn default() -> Self {
        Self { additional_retention: DAY, overrides: Vec::new() }
    }
}

/// An internal topic that must exist before tasks run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalTopic {
    /// Its full name.
    pub name: Arc<str>,
    /// Its partition count.
    pub partitions: i32,
    /// Its settings, sorted by name.
    pub configs: Vec<(String, String)>,
    /// What it is for.
    pub kind: InternalTopicKind,
}

impl InternalTopic {
    /// Checks the topic that the broker has under this name.
    ///
    /// # Errors
    /// If it has another number of partitions.
    pub fn check_existing(&self, partitions: i32) -> Result {
        if partitions == self.partitions {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Topic,
            format!(
                "existing internal topic {} has invalid partitions: expected: {}; actual: \
                 {partitions}; reset the application (kafka-streams-application-reset) and start \
                 it again",
                self.name, self.partitions
            ),
        ))
    }
}

/// What an internal topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InternalTopicKind {
    /// Carries records to the task of their new key; purged behind committed offsets.
    Repartition,
    /// Keeps a store's changes.
    Changelog,
}

impl Topology {
    /// The internal topics of a layout: repartition topics, then changelogs, by sub-topology.
    ///
    /// ```
    /// use kstreams_core::serde::Utf8;
    /// use kstreams_topology::{InternalTopicSettings, Topology};
    ///
    /// let mut topology = Topology::builder();
    /// let words = topology.repartition_topic("words", None);
    /// let lines = topology.source("lines", "input", (Utf8, Utf8));
    /// topology.sink("to-words", &[lines], &words, (Utf8, Utf8));
    /// topology.source("words", &words, (Utf8, Utf8));
    /// let topology = topology.build()?;
    ///
    /// let layout = topology.layout("my-app", &[("input".into(), 4)].into())?;
    /// let internal = topology.internal_topics(&layout, &InternalTopicSettings::default());
    /// assert_eq!(internal[0].name.as_ref(), "my-app-words-repartition");
    /// assert_eq!(internal[0].partitions, 4);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn internal_topics(
        &self,
        layout: &Layout,
        settings: &InternalTopicSettings,
    ) -> Vec<InternalTopic> {
        let mut topics = Vec::new();
        for subtopology in self.subtopologies() {
            for (topic, _) in subtopology.repartition_sources() {
                let name = topic.full_name(layout.application_id());
                let Some(partitions) = layout.partitions(&name) else { continue };
                let (configs, kind) =
                    (settings.repartition_configs(), InternalTopicKind::Repartition);
                topics.push(InternalTopic { name, partitions, configs, kind });
            }
        }
        for subtopology in self.subtopologies() {
            let partitions = layout.n_tasks(subtopology.id());
            for store in subtopology.stores().iter().filter(|_| partitions > 0) {
                let Changelog::Own(config) = store.changelog() else { continue };
                topics.push(InternalTopic {
                    name: store.serde_topic(layout.application_id()),
                    partitions,
                    configs: settings.changelog_configs(config),
                    kind: InternalTopicKind::Changelog,
                });
            }
        }
        topics
    }
}

type Configs = BTreeMap<String, String>;

impl InternalTopicSettings {
    /// The settings of a repartition topic, sorted by name (Java's `RepartitionTopicConfig`).
    pub fn repartition_configs(&self) -> Vec<(String, String)> {
        let mut configs = Configs::new();
        put(&mut configs, "message.timestamp.type", "CreateTime");
        put(&mut configs, "cleanup.policy", "delete");
        put(&mut configs, "segment.bytes", "52428800");
        put(&mut configs, "retention.ms", "-1");
        configs.extend(self.overrides.iter().cloned());
        configs.into_iter().collect()
    }

    /// The settings of a changelog, sorted by name.
    ///
    /// As in Java, what follows from the store's retention wins over a setting for all internal
    /// topics, and the store's own settings win over everything.
    pub fn changelog_configs(&self, changelog: &ChangelogConfig) -> Vec<(String, String)> {
        let mut configs = Configs::new();
        put(&mut configs, "message.timestamp.type", "CreateTime");
        put(
            &mut configs,
            "cleanup.policy",
            match changelog.cleanup {
                Cleanup::Compact | Cleanup::CompactAfter { .. } => "compact",
                Cleanup::CompactAndDelete { .. } | Cleanup::Delete { .. } => "compact,delete",
            },
        );
        configs.extend(self.overrides.iter().cloned());
        match changelog.cleanup {
            Cleanup::Compact => {}
            Cleanup::CompactAndDelete { retention_ms } => {
                self.put_retention(&mut configs, retention_ms);
            }
            Cleanup::Delete { retention_ms } => {
                // Java's stream-stream joins say it as a setting of the store.
                put(&mut configs, "cleanup.policy", "delete");
                self.put_retention(&mut configs, retention_ms);
            }
            Cleanup::CompactAfter { min_lag_ms } => {
                // Not the configurable addition: that one is for window stores.
                let lag = min_lag_ms.saturating_add(millis(DAY));
                put(&mut configs, "min.compaction.lag.ms", &lag.to_string());
            }
        }
        configs.extend(changelog.overrides.iter().cloned());
        configs.into_iter().collect()
    }

    fn put_retention(&self, configs: &mut Configs, retention_ms: i64) {
        let retention = retention_ms.saturating_add(millis(self.additional_retention));
        put(configs, "retention.ms", &retention.to_string());
    }
}

fn put(configs: &mut Configs, name: &str, value: &str) {
    configs.insert(name.to_owned(), value.to_owned());
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(configs: &[(&str, &str)]) -> Vec<(String, String)> {
        configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// What wins: derived from the store < for all topics < retention of the store < the store's
    /// own settings. Defaults are held against Java in tests/topology/tasks.txt.
    #[test]
    fn settings_win_in_javas_order() {
        let settings = InternalTopicSettings {
            additional_retention: Duration::from_millis(5),
            overrides: pairs(&[("cleanup.policy", "all"), ("retention.ms", "1"), ("x", "1")]),
        };
        let changelog = |cleanup, own: &[(&str, &str)]| {
            settings.changelog_configs(&ChangelogConfig { cleanup, overrides: pairs(own) })
        };
        let create_time = ("message.timestamp.type", "CreateTime");
        let cases = [
            (
                changelog(Cleanup::CompactAndDelete { retention_ms: 10 }, &[]),
                [("cleanup.policy", "all"), create_time, ("retention.ms", "15"), ("x", "1")],
            ),
            (
                changelog(Cleanup::Delete { retention_ms: i64::MAX }, &[("x", "2")]),
                [
                    ("cleanup.policy", "delete"),
                    create_time,
                    ("retention.ms", "9223372036854775807"),
                    ("x", "2"),
                ],
            ),
            (
                changelog(Cleanup::Delete { retention_ms: 1 }, &[("retention.ms", "7")]),
                [("cleanup.policy", "delete"), create_time, ("retention.ms", "7"), ("x", "1")],
            ),
            (
                changelog(Cleanup::Compact, &[("cleanup.policy", "own")]),
                [("cleanup.policy", "own"), create_time, ("retention.ms", "1"), ("x", "1")],
            ),
        ];
        for (is, should) in cases {
            assert_eq!(is, pairs(&should));
        }
    }

    #[test]
    fn an_existing_topic_of_another_size_is_refused() {
        let topic = InternalTopic {
            name: "app-t-changelog".into(),
            partitions: 3,
            configs: Vec::new(),
            kind: InternalTopicKind::Changelog,
        };
        assert!(topic.check_existing(3).is_ok());
        let error = topic.check_existing(4).unwrap_err().to_string();
        assert!(error.starts_with(
            "existing internal topic app-t-changelog has invalid partitions: expected: 3; actual: 4"
        ));
    }
}
