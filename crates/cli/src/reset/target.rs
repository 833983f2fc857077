//! Where a position is set to.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp as Instant};
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::time::{Clock, SystemClock, Timestamp};

use crate::Failure;
use crate::args::{ResetTo, read};

/// One of the ways to say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Earliest,
    Latest,
    Offset(Offset),
    ShiftBy(i64),
    Time(Timestamp),
    Places(BTreeMap<TopicPartition, Offset>),
}

impl Target {
    pub(super) fn new(to: &ResetTo) -> Result<Self, Failure> {
        if let Some(offset) = to.to_offset {
            return Ok(Self::Offset(offset));
        }
        if let Some(by) = to.shift_by {
            return Ok(Self::ShiftBy(by));
        }
        if let Some(text) = &to.to_datetime {
            return time(text).map(Self::Time);
        }
        if let Some(text) = &to.by_duration {
            return before(text, SystemClock::new().now()).map(Self::Time);
        }
        if let Some(path) = &to.from_file {
            return places(&read(path)?, path).map(Self::Places);
        }
        Ok(if to.to_latest { Self::Latest } else { Self::Earliest })
    }

    /// The time whose first record is asked for.
    pub(super) fn time(&self) -> Option<Timestamp> {
        if let Self::Time(time) = self { Some(*time) } else { None }
    }

    /// The offset of a partition: where it says, as far as there are records.
    pub(super) fn offset(
        &self,
        at: &TopicPartition,
        committed: Option<Offset>,
        range: RangeInclusive<Offset>,
        at_time: Option<Offset>,
    ) -> Result<Offset, Failure> {
        let (start, end) = range.into_inner();
        let wanted = match self {
            Self::Earliest => start,
            Self::Latest => end,
            Self::Offset(offset) => *offset,
            // A group without a position begins at the start, as in Java's tool.
            Self::ShiftBy(by) => committed.unwrap_or(start).saturating_add(*by),
            Self::Time(_) => at_time.unwrap_or(end),
            Self::Places(places) => *places.get(at).ok_or_else(|| {
                let TopicPartition { topic, partition } = at;
                Failure::new(format!("the file has no line for {topic},{partition}"))
            })?,
        };
        Ok(wanted.clamp(start, end.max(start)))
    }

    /// A place that no input topic has is a mistake.
    pub(super) fn check_all_used<'a>(
        &self,
        used: impl Iterator<Item = &'a TopicPartition> + Clone,
    ) -> Result<(), Failure> {
        let Self::Places(places) = self else { return Ok(()) };
        match places.keys().find(|at| !used.clone().any(|used| used == *at)) {
            None => Ok(()),
            Some(TopicPartition { topic, partition }) => Err(Failure::new(format!(
                "the file names {topic},{partition}, which is in none of --input-topics"
            ))),
        }
    }
}

/// A time, in UTC if it does not say where.
fn time(text: &str) -> Result<Timestamp, Failure> {
    let utc = |time: DateTime| time.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    let parsed = text.parse::<Instant>().or_else(|_| text.parse::<DateTime>().and_then(utc));
    let parsed = parsed.map_err(|wrong| {
        Failure::new(format!("`{text}` is no time like 2026-01-31T12:00:00.000: {wrong}"))
    })?;
    Ok(Timestamp::from_millis(parsed.as_millisecond()))
}

/// So long before now; a day has 24 hours.
fn before(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let wrong =
        |wrong: jiff::Error| Failure::new(format!("`{text}` is no duration like P1DT12H: {wrong}"));
    let span: Span = text.parse().map_err(wrong)?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(wrong)?;
    let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Ok(Timestamp::from_millis(now.as_millis().saturating_sub(millis).max(0)))
}

/// Lines of `topic,partition,offset`.
fn places(text: &str, path: &Path) -> Result<BTreeMap<TopicPartition, Offset>, Failure> {
    let mut places = BTreeMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let place = match fields[..] {
            [topic, partition, offset] => partition
                .parse()
                .ok()
                .zip(offset.parse().ok())
                .map(|(partition, offset)| (TopicPartition::new(topic, partition), offset)),
            _ => None,
        };
        let (at, offset) = place.ok_or_else(|| {
            let place = format!("{}, line {}", path.display(), number + 1);
            Failure::new(format!("{place}: `{line}` is not topic,partition,offset"))
        })?;
        places.insert(at, offset);
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> TopicPartition {
        TopicPartition::new("in", 1)
    }

    fn offset(target: &Target, committed: Option<Offset>) -> Offset {
        target.offset(&at(), committed, 10..=90, Some(40)).unwrap()
    }

    #[test]
    fn a_position_stays_where_records_are() {
        assert_eq!(offset(&Target::Earliest, Some(50)), 10);
        assert_eq!(offset(&Target::Latest, Some(50)), 90);
        assert_eq!(offset(&Target::Offset(33), None), 33);
        assert_eq!(offset(&Target::Offset(5), None), 10);
        assert_eq!(offset(&Target::Offset(500), None), 90);
        assert_eq!(offset(&Target::ShiftBy(-7), Some(50)), 43);
        assert_eq!(offset(&Target::ShiftBy(7), None), 17);
        assert_eq!(offset(&Target::ShiftBy(i64::MAX), Some(50)), 90);
        assert_eq!(offset(&Target::Time(Timestamp::from_millis(0)), Some(50)), 40);
    }

    #[test]
    fn times_are_in_utc_unless_they_say_otherwise() {
        let millis = |text: &str| time(text).unwrap().as_millis();
        assert_eq!(millis("1970-01-01T00:00:01.500"), 1500);
        assert_eq!(millis("1970-01-01T00:00:01Z"), 1000);
        assert_eq!(millis("1970-01-01T01:00:00+01:00"), 0);
        assert!(time("yesterday").unwrap_err().to_string().contains("`yesterday`"));
    }

    #[test]
    fn durations_go_back_from_now() {
        let now = Timestamp::from_millis(200_000_000);
        let millis = |text: &str| before(text, now).unwrap().as_millis();
        assert_eq!(millis("PT1.5S"), 200_000_000 - 1500);
        assert_eq!(millis("P1DT2H"), 200_000_000 - 26 * 3_600_000);
        assert!(before("2 weeks or so", now).is_err());
    }

    #[test]
    fn a_file_names_each_place() {
        let path = Path::new("plan.csv");
        let read = places("in,1,20\n\nin,2,7\n", path).unwrap();
        let target = Target::Places(read);
        assert_eq!(offset(&target, None), 20);
        let missing = TopicPartition::new("in", 3);
        assert!(target.offset(&missing, None, 0..=9, None).is_err());
        assert!(target.check_all_used([at()].iter()).is_err());
        let wrong = places("in,1,20\nin;2\n", path).unwrap_err().to_string();
        assert!(wrong.contains("plan.csv, line 2"), "{wrong}");
    }
}
