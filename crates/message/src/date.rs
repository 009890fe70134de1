//! Dates of RFC 5322 §3.3: reading them from a field, writing them from a
//! moment, and making a Message-ID.

use mail_parser::DateTime;
use postrider_types::{BodyId, Millis};

use crate::SentDate;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// A day and time as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The year.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

/// `at` in the zone `zone` (minutes east of UTC).
pub fn civil(at: Millis, zone: i16) -> Civil {
    // Beyond year 9999 no format here holds: clamp.
    let seconds = i64::try_from(at.seconds())
        .unwrap_or(i64::MAX)
        .min(253_402_300_799);
    let local = seconds + i64::from(zone) * 60;
    let (days, time) = (local.div_euclid(86_400), local.rem_euclid(86_400));
    let (year, month, day) = from_days(days);
    let small = |n: i64| u8::try_from(n).unwrap_or_default();
    Civil {
        year,
        month,
        day,
        hour: small(time / 3600),
        minute: small(time / 60 % 60),
        second: small(time % 60),
    }
}

/// The days from 1970-01-01 to a date of the Gregorian calendar. `month` is 1 to 12.
pub fn to_days(year: i64, month: u8, day: u8) -> i64 {
    // Count from 1 March of year 0, so that the leap day comes last.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn from_days(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let small = |n: i64| u8::try_from(n).unwrap_or_default();
    (year, small(month), small(day))
}

/// `at` as a Date field has it, in the zone `zone` (minutes east of UTC):
/// `Thu, 1 Jan 1970 00:00:00 +0000`.
pub fn format(at: Millis, zone: i16) -> String {
    let c = civil(at, zone);
    let weekday = to_days(c.year, c.month, c.day).rem_euclid(7);
    let sign = if zone < 0 { '-' } else { '+' };
    let zone = zone.unsigned_abs();
    format!(
        "{}, {} {} {:04} {:02}:{:02}:{:02} {sign}{:02}{:02}",
        DAYS[usize::try_from(weekday).unwrap_or_default()],
        c.day,
        MONTHS[usize::from(c.month.saturating_sub(1)).min(11)],
        c.year,
        c.hour,
        c.minute,
        c.second,
        zone / 60,
        zone % 60,
    )
}

/// Reads the value of a Date field, the obsolete forms too. None if it is no
/// date, or one before 1970.
pub fn parse(value: &[u8]) -> Option<SentDate> {
    // A date is short; the rest can only be comments.
    let value = &value[..value.len().min(200)];
    let text: String = value.iter().map(|b| char::from(b & 0x7f)).collect();
    let mut read = DateTime::parse_rfc822(&text)?;
    // RFC 5322 §3.3 allows a leap second.
    read.second = read.second.min(59);
    if !read.is_valid() {
        return None;
    }
    let zone = i32::from(read.tz_hour) * 60 + i32::from(read.tz_minute);
    Some(SentDate {
        millis: u64::try_from(read.to_timestamp()).ok()?.checked_mul(1000)?,
        zone: if read.tz_before_gmt { -zone } else { zone },
    })
}

/// A Message-ID with its brackets for a message that came without one
/// (RFC 5322 §3.6.4).
pub fn message_id(body: BodyId, host: &str) -> String {
    format!("<{body}@{host}>")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_written() {
        for (millis, zone, want) in [
            (0, 0, "Thu, 1 Jan 1970 00:00:00 +0000"),
            (1_709_210_096_789, 0, "Thu, 29 Feb 2024 12:34:56 +0000"),
            (1_709_210_096_789, 330, "Thu, 29 Feb 2024 18:04:56 +0530"),
            (1_709_251_199_000, -90, "Thu, 29 Feb 2024 22:29:59 -0130"),
            (0, -60, "Wed, 31 Dec 1969 23:00:00 -0100"),
            (u64::MAX, 0, "Fri, 31 Dec 9999 23:59:59 +0000"),
        ] {
            assert_eq!(format(Millis(millis), zone), want);
        }
    }

    #[test]
    fn dates_are_read() {
        for (text, want) in [
            ("Thu, 29 Feb 2024 12:34:56 +0000", Some((1_709_210_096, 0))),
            (
                " 29 Feb 2024 18:04:56 +0530 (IST)",
                Some((1_709_210_096, 330)),
            ),
            ("29 feb 24 12:34:56 GMT", Some((1_709_210_096, 0))),
            ("29 Feb 2024 07:34:56 EST", Some((1_709_210_096, -300))),
            ("Thu, 31 Dec 2016 23:59:60 +0000", Some((1_483_228_799, 0))),
            ("1 Jan 1960 00:00:00 +0000", None),
            ("yesterday", None),
            ("", None),
            ("99 Feb 2024 12:34:56 +0000", None),
        ] {
            let read = parse(text.as_bytes()).map(|d| (d.millis / 1000, d.zone));
            assert_eq!(read, want, "{text:?}");
        }
        let late = parse(b"Fri, 1 Mar 2024 00:30:00 +0200").unwrap();
        assert_eq!(late.day(), to_days(2024, 3, 1));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0_u64..32_503_000_000, zone in -720_i16..=840) {
            let at = Millis::from_seconds(seconds);
            let read = parse(format(at, zone).as_bytes()).unwrap();
            prop_assert_eq!((read.at(), read.zone), (at, i32::from(zone)));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&bytes);
        }
    }
}
