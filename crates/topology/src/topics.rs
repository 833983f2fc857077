//! Names of topics: fixed, by pattern, or internal to the application.
//!
//! The builder takes them; sub-topologies and layouts give them back.

use std::fmt;
use std::sync::Arc;

use kstreams_core::error::{Error, ErrorKind, Result};
use regex_lite::Regex;

/// What a source reads: one topic, several, or all whose names match a pattern.
///
/// ```
/// use kstreams_topology::Topics;
/// let one: Topics = "input".into();
/// let two: Topics = ["input", "more"].into();
/// let many = Topics::pattern("input-.*")?;
/// # assert!(matches!((one, two, many), (Topics::Named(_), Topics::Named(_), Topics::Matching(_))));
/// # Ok::<(), kstreams_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topics {
    /// These.
    Named(Vec<Arc<str>>),
    /// All whose whole name matches.
    Matching(TopicPattern),
}

impl Topics {
    /// All topics whose whole name matches `pattern`.
    ///
    /// # Errors
    /// If `pattern` is no regular expression.
    pub fn pattern(pattern: &str) -> Result<Self> {
        TopicPattern::new(pattern).map(Self::Matching)
    }
}

impl From<&str> for Topics {
    fn from(topic: &str) -> Self {
        Self::Named(vec![topic.into()])
    }
}

impl From<String> for Topics {
    fn from(topic: String) -> Self {
        Self::Named(vec![topic.into()])
    }
}

impl<T: Into<Arc<str>>, const N: usize> From<[T; N]> for Topics {
    fn from(topics: [T; N]) -> Self {
        Self::Named(topics.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Arc<str>> + Clone> From<&[T]> for Topics {
    fn from(topics: &[T]) -> Self {
        Self::Named(topics.iter().cloned().map(Into::into).collect())
    }
}

impl<T: Into<Arc<str>>> From<Vec<T>> for Topics {
    fn from(topics: Vec<T>) -> Self {
        Self::Named(topics.into_iter().map(Into::into).collect())
    }
}

impl From<&RepartitionTopic> for Topics {
    fn from(topic: &RepartitionTopic) -> Self {
        Self::Named(vec![Arc::clone(&topic.name)])
    }
}

impl From<TopicPattern> for Topics {
    fn from(pattern: TopicPattern) -> Self {
        Self::Matching(pattern)
    }
}

/// A regular expression that a whole topic name must match, as in Kafka.
#[derive(Clone)]
pub struct TopicPattern {
    text: Arc<str>,
    regex: Regex,
}

impl TopicPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// If `pattern` is no regular expression.
    pub fn new(pattern: &str) -> Result<Self> {
        // Java's Matcher.matches() wants the whole name.
        match Regex::new(&format!(r"\A(?:{pattern})\z")) {
            Ok(regex) => Ok(Self { text: pattern.into(), regex }),
            Err(cause) => Err(Error::new(
                ErrorKind::Topology,
                format!("`{pattern}` is no topic pattern: {cause}"),
            )
            .with_source(cause)),
        }
    }

    /// True if the whole of `topic` matches.
    ///
    /// ```
    /// use kstreams_topology::TopicPattern;
    /// let pattern = TopicPattern::new("a|bc")?;
    /// assert!(pattern.matches("bc") && !pattern.matches("abc"));
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    pub fn matches(&self, topic: &str) -> bool {
        self.regex.is_match(topic)
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for TopicPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TopicPattern {}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicPattern({})", self.text)
    }
}

/// A topic that belongs to the application: one sub-topology writes it, another reads it.
///
/// Made by [`TopologyBuilder::repartition_topic`](crate::TopologyBuilder::repartition_topic); a
/// source and a sink take it where they take a topic's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepartitionTopic {
    pub(crate) name: Arc<str>,
}

impl RepartitionTopic {
    /// Its name without the application id, as `describe` prints it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}

/// The name of one topic of a topology.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) internal: bool,
}

impl Topic {
    /// Its name; for an internal topic without the application id.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// True for a topic that belongs to the application.
    pub fn is_internal(&self) -> bool {
        self.internal
    }

    /// The name the broker knows: an internal one is `<application id>-<name>`.
    pub fn full_name(&self, application_id: &str) -> Arc<str> {
        if self.internal {
            format!("{application_id}-{}", self.name).into()
        } else {
            Arc::clone(&self.name)
        }
    }
}

/// Kafka's rule for names of topics (`org.apache.kafka.common.internals.Topic`), which store names
/// follow too since they become part of one. `Some` says what is wrong.
pub(crate) fn illegal_name(name: &str) -> Option<&'static str> {
    const MAX_LEN: usize = 249;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match name {
        "" => Some("it is empty"),
        "." | ".." => Some("it must not be `.` or `..`"),
        _ if name.len() > MAX_LEN => Some("it is longer than 249 characters"),
        _ if !name.bytes().all(legal) => {
            Some("it has a character other than ASCII letters, digits, `.`, `_` and `-`")
        }
        _ => None,
    }
}
