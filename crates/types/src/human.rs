//! Sizes and durations as people write them in settings and on the command
//! line: `64KiB`, `30s`. Also the serde adapters for them:
//! `#[serde(with = "postrider_types::human::duration")]` on a `Duration`,
//! `#[serde(with = "postrider_types::human::size")]` on a `u64`.

use std::fmt;
use std::time::Duration;

/// Why a text is no size or duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HumanError {
    /// Not a size.
    #[error("`{0}` is not a size; write a number of bytes or, for example, 64KiB, 25MB, 2GiB")]
    Size(String),
    /// Not a duration.
    #[error("`{0}` is not a duration; write, for example, 500ms, 30s, 5m, 2h, 7d or 1h30m")]
    Duration(String),
}

const SIZE_UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kb", 1_000),
    ("kib", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1_000_000),
    ("mib", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1_000_000_000),
    ("gib", 1 << 30),
    ("t", 1 << 40),
    ("tb", 1_000_000_000_000),
    ("tib", 1 << 40),
];

const DURATION_UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 7 * 86_400_000),
];

/// Reads a size in bytes: `4096`, `64KiB` (1024s), `25MB` (1000s), `2G` (1024s).
pub fn parse_size(text: &str) -> Result<u64, HumanError> {
    let error = || HumanError::Size(text.to_owned());
    let trimmed = text.trim();
    let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = trimmed.split_at(digits);
    let unit = unit.trim_start().to_ascii_lowercase();
    let factor = SIZE_UNITS.iter().find(|(name, _)| *name == unit);
    let (_, factor) = factor.ok_or_else(error)?;
    let number: u64 = number.parse().map_err(|_| error())?;
    number.checked_mul(*factor).ok_or_else(error)
}

/// Reads a duration: `30s`, `1h30m`, `500ms`; a unit is required.
pub fn parse_duration(text: &str) -> Result<Duration, HumanError> {
    let error = || HumanError::Duration(text.to_owned());
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(error());
    }
    let mut millis = 0u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let factor = DURATION_UNITS.iter().find(|(name, _)| *name == unit);
        let (_, factor) = factor.ok_or_else(error)?;
        let number: u64 = number.parse().map_err(|_| error())?;
        let part = number.checked_mul(*factor).ok_or_else(error)?;
        millis = millis.checked_add(part).ok_or_else(error)?;
        rest = after.trim_start();
    }
    Ok(Duration::from_millis(millis))
}

/// Shows a size in the largest unit of 1024s that keeps it readable: `1.5 GiB`.
pub fn format_size(bytes: u64) -> impl fmt::Display {
    struct Size(u64);
    impl fmt::Display for Size {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
            let mut unit = 0;
            let mut tenths = u128::from(self.0) * 10;
            while tenths >= 10_240 && unit + 1 < UNITS.len() {
                tenths /= 1024;
                unit += 1;
            }
            let name = UNITS[unit];
            if tenths.is_multiple_of(10) {
                write!(f, "{} {name}", tenths / 10)
            } else {
                write!(f, "{}.{} {name}", tenths / 10, tenths % 10)
            }
        }
    }
    Size(bytes)
}

/// A serde adapter for sizes: a whole number of bytes or a text.
pub mod size {
    use super::{fmt, parse_size};
    use serde::{Deserializer, Serializer, de};

    /// Writes the bytes as a number.
    pub fn serialize<S: Serializer>(size: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(*size)
    }

    /// Reads a number of bytes or a text such as `64KiB`.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = u64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"64KiB\" or a number of bytes")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<u64, E> {
                Ok(value)
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<u64, E> {
                u64::try_from(value).map_err(|_| E::custom("a size is not negative"))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<u64, E> {
                parse_size(value).map_err(E::custom)
            }
        }
        from.deserialize_any(Visitor)
    }
}

/// A serde adapter for durations, written as text.
pub mod duration {
    use super::{fmt, parse_duration};
    use serde::{Deserializer, Serializer, de};
    use std::time::Duration;

    /// Writes whole milliseconds as text.
    pub fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}ms", span.as_millis()))
    }

    /// Reads a text such as `30s`.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Duration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit, such as \"30s\" or \"5m\"")
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Duration, E> {
                parse_duration(value).map_err(E::custom)
            }
        }
        from.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_all_common_forms() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 65_536),
            ("64 kib", 65_536),
            ("25MB", 25_000_000),
            ("2G", 2 << 30),
            (" 1TiB ", 1 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "KiB", "-1", "1.5G", "1 parsec", "99999999999T", "1é"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_need_a_unit_and_add_up() {
        for (text, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("0", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for bad in ["", "30", "s", "5 min", "1y", "99999999999999w", "é"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_shown_short() {
        assert_eq!(format_size(0).to_string(), "0 B");
        assert_eq!(format_size(1536).to_string(), "1.5 KiB");
        assert_eq!(format_size(2 << 30).to_string(), "2 GiB");
    }
}
