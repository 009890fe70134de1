//! [`Moment`]: a moment in the administration API, as RFC 3339 writes it in UTC:
//! `2027-01-31T12:00:00.250Z`.

use std::fmt;
use std::str::FromStr;

use postrider_types::Millis;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::date;

const DAY: u64 = 86_400_000;

/// A moment. `Display` is for people: `2027-01-31 12:00:00`, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) Millis);

impl Moment {
    fn clock(self) -> String {
        let seconds = self.0.0 % DAY / 1_000;
        let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
        format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
    }

    fn parse(text: &str) -> Option<Self> {
        let (day, clock) = text.strip_suffix('Z')?.split_once('T')?;
        let (clock, millis) = clock.split_once('.').unwrap_or((clock, "000"));
        let number = |text: &str, digits: usize, below: u64| {
            let fits = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
            let number: u64 = fits.then(|| text.parse().ok())??;
            (number < below).then_some(number)
        };
        let mut parts = clock.split(':');
        let hours = number(parts.next()?, 2, 24)?;
        let minutes = number(parts.next()?, 2, 60)?;
        let seconds = number(parts.next()?, 2, 60)?;
        let millis = number(millis, 3, 1_000)?;
        if parts.next().is_some() {
            return None;
        }
        let seconds = (hours * 60 + minutes) * 60 + seconds;
        let midnight = date::parse(day).ok()?.0;
        Some(Self(Millis(midnight + seconds * 1_000 + millis)))
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("`{text}` is no moment such as 2027-01-31T12:00:00Z, in UTC");
        Self::parse(text).ok_or_else(error)
    }
}

impl From<Millis> for Moment {
    fn from(at: Millis) -> Self {
        Self(at)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", date::format(self.0), self.clock())
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (day, millis) = (date::format(self.0), self.0.0 % 1_000);
        to.collect_str(&format_args!("{day}T{}.{millis:03}Z", self.clock()))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let error = || {
            de::Error::custom(format!(
                "`{text}` is no moment such as 2027-01-31T12:00:00.000Z"
            ))
        };
        Self::parse(&text).ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_go_both_ways() {
        for millis in [0, 951_782_400_000, 1_801_440_009_250] {
            let moment = Moment(Millis(millis));
            let text = serde_json::to_string(&moment).unwrap();
            assert_eq!(serde_json::from_str::<Moment>(&text).unwrap(), moment);
        }
        let moment = Moment(Millis(1_801_440_009_250));
        assert_eq!(
            serde_json::to_string(&moment).unwrap(),
            "\"2027-02-01T00:00:09.250Z\""
        );
        assert_eq!(moment.to_string(), "2027-02-01 00:00:09");
    }

    #[test]
    fn nonsense_is_no_moment() {
        for bad in [
            "",
            "2027-01-31",
            "2027-01-31T12:00:00",
            "2027-01-31T24:00:00Z",
            "2027-01-31T12:00:00:00Z",
            "2027-01-31T12:00:00.1Z",
            "2027-02-31T12:00:00Z",
        ] {
            assert_eq!(Moment::parse(bad), None, "{bad}");
        }
    }
}
