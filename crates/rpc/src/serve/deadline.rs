//! The deadline of a call, as gRPC writes it into the request's head.

use std::time::Duration;

/// How long the caller waits; None where it is not written as it must be.
pub(super) fn parse(text: &str) -> Option<Duration> {
    // "gRPC over HTTP2", Timeout: at most 8 digits and one letter, the unit.
    let unit = text.len().checked_sub(1)?;
    let (digits, unit) = text.split_at_checked(unit)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(3600 * count),
        "M" => Duration::from_secs(60 * count),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_apart_and_nonsense_is_none() {
        for (text, expected) in [
            ("2H", Some(Duration::from_secs(7200))),
            ("3M", Some(Duration::from_secs(180))),
            ("12S", Some(Duration::from_secs(12))),
            ("99999999m", Some(Duration::from_millis(99_999_999))),
            ("5u", Some(Duration::from_micros(5))),
            ("0n", Some(Duration::ZERO)),
            ("123456789m", None),
            ("m", None),
            ("", None),
            ("-1m", None),
            ("1.5S", None),
            ("1s", None),
            ("1\u{e4}", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
