//! A flight as the topology sees it, and how it is read from a row of the input.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use kstreams::prelude::*;

/// Columns of a row; the README of the data names them.
const COLUMNS: usize = 19;

/// What became of a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Cancelled,
    /// It flew, but not, or not in time, to where it should.
    Diverted,
    /// It arrived so many minutes late; early if negative.
    Arrived(i64),
}

/// A row that passed the checks, and after `enrich` what the tables know of its plane and airline.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) carrier: String,
    pub(crate) origin: String,
    pub(crate) dest: String,
    pub(crate) tailnum: String,
    pub(crate) outcome: Outcome,
    pub(crate) seats: Option<i64>,
    pub(crate) airline: String,
}

impl Flight {
    /// Reads a row; the error says what is wrong with it.
    pub(crate) fn parse(row: &[u8]) -> Result<Self> {
        let cells: Vec<&str> = std::str::from_utf8(row)?.split(',').collect();
        if cells.len() != COLUMNS {
            return Err(format!("{} columns instead of {COLUMNS}", cells.len()).into());
        }
        let code = |index: usize, len: usize, legal: fn(u8) -> bool| -> Result<String> {
            let text = cells[index];
            let fits = text.len() == len && text.bytes().all(legal);
            if fits { Ok(text.into()) } else { Err(format!("`{text}` is no code").into()) }
        };
        let airport = |index| code(index, 3, |byte| byte.is_ascii_uppercase());
        let number = |index: usize| -> Result<Option<i64>> {
            match (cells[index], integer(cells[index])) {
                ("NA", _) => Ok(None),
                (_, Some(number)) => Ok(Some(number)),
                (text, None) => Err(format!("`{text}` is no number").into()),
            }
        };
        departure(row).ok_or("date or scheduled departure is wrong")?;
        let outcome = match (number(3)?, number(5)?, number(8)?) {
            (None, ..) => Outcome::Cancelled,
            (Some(_), Some(_), Some(delay)) => Outcome::Arrived(delay),
            _ => Outcome::Diverted,
        };
        Ok(Self {
            carrier: code(9, 2, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())?,
            origin: airport(12)?,
            dest: airport(13)?,
            tailnum: cells[11].into(),
            outcome,
            seats: None,
            airline: String::new(),
        })
    }
}

/// The scheduled departure: the event time of a row, whatever else is wrong with it.
pub(crate) fn departure(row: &[u8]) -> Option<Timestamp> {
    let mut cells = std::str::from_utf8(row).ok()?.split(',');
    let mut next = || integer(cells.next()?);
    let (year, month, day) = (next()?, next()?, next()?);
    // Skips the actual departure, which may be missing.
    cells.next()?;
    let scheduled = integer(cells.next()?)?;
    let (hour, minute) = (scheduled.div_euclid(100), scheduled.rem_euclid(100));
    if !((0..24).contains(&hour) && minute < 60 || (hour, minute) == (24, 0)) {
        return None;
    }
    let minutes = days_since_1970(year, month, day)? * 1440 + hour * 60 + minute;
    Some(Timestamp::from_millis(minutes * 60_000))
}

/// Stricter than Rust's own rule, which takes a plus sign.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The proleptic Gregorian calendar; `None` for a day that does not exist.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month.checked_sub(1)?).ok()?;
    if !(1..10_000).contains(&year) || !(1..=*lengths.get(before)?).contains(&day) {
        return None;
    }
    let past = year - 1;
    let to_new_year = past * 365 + past / 4 - past / 100 + past / 400;
    Some(to_new_year - 719_162 + lengths[..before].iter().sum::<i64>() + day - 1)
}

/// The form in which flights travel between sub-topologies: text, so that `kcat` can show it.
impl fmt::Display for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{},", self.carrier, self.origin, self.dest, self.tailnum)?;
        match self.outcome {
            Outcome::Cancelled => f.write_str("cancelled,")?,
            Outcome::Diverted => f.write_str("diverted,")?,
            Outcome::Arrived(delay) => write!(f, "{delay},")?,
        }
        match self.seats {
            Some(seats) => write!(f, "{seats},{}", self.airline),
            None => write!(f, "NA,{}", self.airline),
        }
    }
}

impl FromStr for Flight {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let cells: Vec<&str> = text.splitn(7, ',').collect();
        let [carrier, origin, dest, tailnum, outcome, seats, airline] = cells[..] else {
            return Err(format!("`{text}` is no flight").into());
        };
        Ok(Self {
            carrier: carrier.into(),
            origin: origin.into(),
            dest: dest.into(),
            tailnum: tailnum.into(),
            outcome: match outcome {
                "cancelled" => Outcome::Cancelled,
                "diverted" => Outcome::Diverted,
                delay => Outcome::Arrived(delay.parse()?),
            },
            seats: if seats == "NA" { None } else { Some(seats.parse()?) },
            airline: airline.into(),
        })
    }
}

/// The serde of everything that can be printed and read back.
pub(crate) struct Text<T>(PhantomData<fn() -> T>);

impl<T> Text<T> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Serde for Text<T>
where
    T: fmt::Display + FromStr<Err = Error> + 'static,
{
    type Item = T;

    fn serialize(&self, item: &T, _: &At<'_>, out: &mut Vec<u8>) -> Result {
        use std::io::Write;
        write!(out, "{item}").map_err(Error::from)
    }

    fn deserialize(&self, bytes: &[u8], _: &At<'_>) -> Result<T> {
        std::str::from_utf8(bytes)?.parse()
    }
}
