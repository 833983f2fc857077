//! The statistics of an airline, a route, and an airline at an hour of the day.
//!
//! Their text is their form in stores and topics, and what `--statistics` writes.

use std::fmt;
use std::str::FromStr;

use kstreams::prelude::*;

use crate::flight::{Flight, Outcome};

/// Arrivals later than this many minutes count as late.
const LATE: i64 = 15;

/// What `Running` can keep for each key.
pub(crate) trait Statistic:
    Default + Clone + Send + fmt::Display + FromStr<Err = Error> + 'static
{
    fn add(&mut self, flight: &Flight);
}

/// Delays at arrival of those flights that arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delays {
    pub(crate) sum: i64,
    pub(crate) count: i64,
    min: Option<i64>,
    max: Option<i64>,
}

impl Delays {
    fn add(&mut self, delay: i64) {
        self.sum += delay;
        self.count += 1;
        self.min = Some(self.min.map_or(delay, |min| min.min(delay)));
        self.max = Some(self.max.map_or(delay, |max| max.max(delay)));
    }

    /// For charts and orders; tables print [`Mean`].
    pub(crate) fn mean(&self) -> f64 {
        self.sum as f64 / self.count as f64
    }
}

/// Two decimals, halves away from zero, in integers only so that every language agrees.
pub(crate) struct Mean<'a>(pub(crate) &'a Delays);

impl fmt::Display for Mean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Delays { sum, count, .. } = *self.0;
        if count == 0 {
            return f.pad("NA");
        }
        let hundredths = (200 * sum.abs() + count) / (2 * count);
        let sign = if sum < 0 && hundredths > 0 { "-" } else { "" };
        f.pad(&format!("{sign}{}.{:02}", hundredths / 100, hundredths % 100))
    }
}

/// A number, or `NA`.
struct OrNa(Option<i64>);

impl fmt::Display for OrNa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("NA"),
        }
    }
}

/// The number behind `name=`; `None` for `NA`.
fn optional(text: &str, name: &str) -> Result<Option<i64>> {
    let value = text.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    match value {
        Some("NA") => Ok(None),
        Some(number) => Ok(Some(number.parse()?)),
        None => Err(format!("no {name} in `{text}`").into()),
    }
}

fn number(text: &str, name: &str) -> Result<i64> {
    optional(text, name)?.ok_or_else(|| format!("{name} is NA in `{text}`").into())
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Airline {
    pub(crate) name: String,
    pub(crate) flights: i64,
    pub(crate) cancelled: i64,
    diverted: i64,
    pub(crate) late: i64,
    pub(crate) delays: Delays,
    seats: i64,
    unknown_planes: i64,
}

impl Statistic for Airline {
    fn add(&mut self, flight: &Flight) {
        self.name.clone_from(&flight.airline);
        self.flights += 1;
        if flight.outcome != Outcome::Cancelled {
            self.seats += flight.seats.unwrap_or(0);
            self.unknown_planes += i64::from(flight.seats.is_none());
        }
        match flight.outcome {
            Outcome::Cancelled => self.cancelled += 1,
            Outcome::Diverted => self.diverted += 1,
            Outcome::Arrived(delay) => {
                self.delays.add(delay);
                self.late += i64::from(delay > LATE);
            }
        }
    }
}

impl fmt::Display for Airline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, flights, cancelled, diverted, late, delays, .. } = self;
        let Delays { sum, count, min, max } = *delays;
        write!(f, "name=\"{name}\" flights={flights} cancelled={cancelled} diverted={diverted} ")?;
        write!(f, "late={late} arr_delay_sum={sum} arr_delay_count={count} ")?;
        write!(f, "arr_delay_min={} arr_delay_max={} ", OrNa(min), OrNa(max))?;
        write!(f, "arr_delay_mean={} ", Mean(delays))?;
        write!(f, "seats={} unknown_planes={}", self.seats, self.unknown_planes)
    }
}

impl FromStr for Airline {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = text.strip_prefix("name=\"").and_then(|rest| rest.split_once('"'));
        let (name, fields) = named.ok_or_else(|| format!("`{text}` is no airline"))?;
        Ok(Self {
            name: name.into(),
            flights: number(fields, "flights")?,
            cancelled: number(fields, "cancelled")?,
            diverted: number(fields, "diverted")?,
            late: number(fields, "late")?,
            delays: Delays {
                sum: number(fields, "arr_delay_sum")?,
                count: number(fields, "arr_delay_count")?,
                min: optional(fields, "arr_delay_min")?,
                max: optional(fields, "arr_delay_max")?,
            },
            seats: number(fields, "seats")?,
            unknown_planes: number(fields, "unknown_planes")?,
        })
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    pub(crate) flights: i64,
    delays: Delays,
}

impl Statistic for Route {
    fn add(&mut self, flight: &Flight) {
        self.flights += 1;
        if let Outcome::Arrived(delay) = flight.outcome {
            self.delays.add(delay);
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Delays { sum, count, max, .. } = self.delays;
        write!(f, "flights={} sum={sum} count={count} max={}", self.flights, OrNa(max))
    }
}

impl FromStr for Route {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (sum, count) = (number(text, "sum")?, number(text, "count")?);
        let delays = Delays { sum, count, min: None, max: optional(text, "max")? };
        Ok(Self { flights: number(text, "flights")?, delays })
    }
}

/// One airline at one hour of the day; only flights that arrived come here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hour {
    pub(crate) delays: Delays,
}

impl Statistic for Hour {
    fn add(&mut self, flight: &Flight) {
        if let Outcome::Arrived(delay) = flight.outcome {
            self.delays.add(delay);
        }
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sum={} count={}", self.delays.sum, self.delays.count)
    }
}

impl FromStr for Hour {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (sum, count) = (number(text, "sum")?, number(text, "count")?);
        Ok(Self { delays: Delays { sum, count, ..Delays::default() } })
    }
}
