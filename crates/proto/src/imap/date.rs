//! Dates and date-times (RFC 3501 §9): `1-Jul-1996`, `" 1-Jul-1996 02:44:25 -0700"`.

use postrider_types::Millis;

use super::error::Problem;
use super::input::Input;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

const BAD_DATE: Problem = Problem::Value("no such day in the calendar");

/// A day, without a time or a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Days since 1970-01-01; negative before.
    days: i32,
}

impl Date {
    /// The day with this number since 1970-01-01.
    pub const fn from_days(days: i32) -> Self {
        Self { days }
    }

    /// Days since 1970-01-01; negative before.
    pub const fn days(self) -> i32 {
        self.days
    }

    /// The day that a clock `zone` minutes east of UTC shows at `at`: SEARCH
    /// disregards time and zone (RFC 3501 §6.4.4).
    pub fn of(at: Millis, zone: i16) -> Self {
        let seconds = local_seconds(at, zone);
        Self {
            days: i32::try_from(seconds.div_euclid(86_400)).unwrap_or(i32::MAX),
        }
    }

    /// The day `day` of `month` (1 to 12) in `year` (0 to 9999) of the
    /// Gregorian calendar, if there is one.
    pub fn from_calendar(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let longest = match month {
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u8::from(leap),
            1..=12 => 31,
            _ => return None,
        };
        if day == 0 || day > longest || year > 9999 {
            return None;
        }
        // The year starts in March, so that the leap day is its last.
        let (month, day) = (i32::from(month), i32::from(day));
        let year = i32::from(year) - i32::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Some(Self {
            days: era * 146_097 + day_of_era - 719_468,
        })
    }

    /// Year, month (1 to 12) and day.
    pub fn calendar(self) -> (i64, u8, u8) {
        let shifted = i64::from(self.days) + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = (march_month + 2) % 12 + 1;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let small = |n: i64| u8::try_from(n).expect("a month or day is below 32");
        (year, small(month), small(day))
    }

    /// `date`: with or without quotes, the day with one digit or two.
    pub(super) fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        let quoted = input.eat(b'"');
        let day = input.number("a date such as 1-Feb-1994")?;
        let date = Self::parse_month_and_year(input, day)?;
        if quoted {
            input.expect(b'"', "a closing quote")?;
        }
        Ok(date)
    }

    fn parse_month_and_year(input: &mut Input<'_>, day: u32) -> Result<Self, Problem> {
        input.expect(b'-', "a date such as 1-Feb-1994")?;
        let name = input.letters("a month such as Feb")?;
        let month = MONTHS
            .iter()
            .zip(1u8..)
            .find_map(|(month, number)| month.eq_ignore_ascii_case(name).then_some(number))
            .ok_or(Problem::Value("unknown month, use Jan to Dec"))?;
        input.expect(b'-', "a date such as 1-Feb-1994")?;
        let year = input.number("a year")?;
        let (Ok(year), Ok(day)) = (u16::try_from(year), u8::try_from(day)) else {
            return Err(BAD_DATE);
        };
        Self::from_calendar(year, month, day).ok_or(BAD_DATE)
    }
}

/// A moment and the zone in which it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    /// The moment. Moments before 1970 become 1970.
    pub at: Millis,
    /// Minutes east of UTC.
    pub zone: i16,
}

impl DateTime {
    /// `date-time`: the quotes belong to it.
    pub(super) fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        input.expect(b'"', "a quoted date-time")?;
        input.eat(b' ');
        let day = input.number("a date-time such as 17-Jul-1996 02:44:25 -0700")?;
        let date = Date::parse_month_and_year(input, day)?;
        input.space()?;
        let hour = two_digits(input, 23)?;
        input.expect(b':', "a time such as 02:44:25")?;
        let minute = two_digits(input, 59)?;
        input.expect(b':', "a time such as 02:44:25")?;
        // RFC 3501 leaves leap seconds open: the 60th is the next minute's first.
        let second = two_digits(input, 60)?;
        input.space()?;
        let zone = parse_zone(input)?;
        input.expect(b'"', "a closing quote")?;
        let seconds = i64::from(date.days()) * 86_400
            + i64::from(hour * 3600 + minute * 60 + second)
            - i64::from(zone) * 60;
        Ok(Self {
            at: Millis::from_seconds(u64::try_from(seconds).unwrap_or(0)),
            zone,
        })
    }

    /// Appends `"17-Jul-1996 02:44:25 -0700"`, with its quotes.
    pub fn write(self, out: &mut Vec<u8>) {
        // RFC 3501 §9: four digits of year; the zone within a day.
        let zone = self.zone.clamp(-1439, 1439);
        let seconds = local_seconds(self.at, zone).clamp(0, 253_402_300_799);
        let days = i32::try_from(seconds / 86_400).unwrap_or(i32::MAX);
        let (year, month, day) = Date::from_days(days).calendar();
        let digit = |n: i64| b'0' + u8::try_from(n % 10).unwrap_or(0);
        let two = |n: i64| [digit(n / 10), digit(n)];
        let month = MONTHS
            .get(usize::from(month).wrapping_sub(1))
            .copied()
            .unwrap_or("Jan");
        let mut text = *b"\"01-Jan-1970 00:00:00 +0000\"";
        let day = two(i64::from(day));
        // RFC 3501 §9, date-day-fixed: a space before one digit.
        text[1] = if day[0] == b'0' { b' ' } else { day[0] };
        text[2] = day[1];
        text[4..7].copy_from_slice(month.as_bytes());
        text[8..10].copy_from_slice(&two(year / 100));
        text[10..12].copy_from_slice(&two(year % 100));
        text[13..15].copy_from_slice(&two(seconds / 3600 % 24));
        text[16..18].copy_from_slice(&two(seconds / 60 % 60));
        text[19..21].copy_from_slice(&two(seconds % 60));
        text[22] = if zone < 0 { b'-' } else { b'+' };
        let zone = i64::from(zone.unsigned_abs());
        text[23..25].copy_from_slice(&two(zone / 60));
        text[25..27].copy_from_slice(&two(zone % 60));
        out.extend_from_slice(&text);
    }
}

/// Seconds since the epoch on a clock `zone` minutes east of UTC.
fn local_seconds(at: Millis, zone: i16) -> i64 {
    i64::try_from(at.seconds())
        .unwrap_or(i64::MAX)
        .saturating_add(i64::from(zone) * 60)
}

fn two_digits(input: &mut Input<'_>, most: u32) -> Result<u32, Problem> {
    let value = input.number("a time such as 02:44:25")?;
    if value > most {
        return Err(Problem::Value("no such time of day"));
    }
    Ok(value)
}

fn parse_zone(input: &mut Input<'_>) -> Result<i16, Problem> {
    let negative = input.eat(b'-');
    if !negative {
        input.expect(b'+', "a zone such as +0100")?;
    }
    let value = input.number("a zone such as +0100")?;
    let (hours, minutes) = (value / 100, value % 100);
    if hours > 23 || minutes > 59 {
        return Err(Problem::Value("no such time zone"));
    }
    let zone = i16::try_from(hours * 60 + minutes).expect("at most 1439");
    Ok(if negative { -zone } else { zone })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date_time(text: &str) -> Result<DateTime, Problem> {
        let mut input = Input::new(text.as_bytes());
        let value = DateTime::parse(&mut input)?;
        input.end()?;
        Ok(value)
    }

    #[test]
    fn date_times_are_read() {
        let want = DateTime {
            at: Millis::from_seconds(837_596_665),
            zone: -420,
        };
        assert_eq!(date_time("\"17-Jul-1996 02:44:25 -0700\""), Ok(want));
        let old = date_time("\" 1-jan-1901 00:00:00 +0000\"").unwrap();
        assert_eq!(old.at, Millis(0));
        for bad in [
            "17-Jul-1996 02:44:25 -0700",
            "\"17-Jul-1996 02:44:25\"",
            "\"31-Feb-1996 02:44:25 +0000\"",
            "\"0-Feb-1996 02:44:25 +0000\"",
            "\"1-Foo-1996 02:44:25 +0000\"",
            "\"1-Feb-1996 24:44:25 +0000\"",
            "\"1-Feb-1996 02:44:25 +9900\"",
            "\"1-Feb-99999999999 02:44:25 +0000\"",
            "\"1-Feb-1996 02:44:25 +0000",
        ] {
            assert!(date_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_date_disregards_time_and_zone() {
        let at = Millis::from_seconds(837_596_665);
        assert_eq!(
            Date::of(at, -420),
            Date::from_calendar(1996, 7, 17).unwrap()
        );
        assert_eq!(
            Date::of(at, -720),
            Date::from_calendar(1996, 7, 16).unwrap()
        );
        for text in ["1-Feb-1994", "\"1-feb-1994\"", "01-FEB-1994"] {
            let date = Date::parse(&mut Input::new(text.as_bytes())).unwrap();
            assert_eq!(date.calendar(), (1994, 2, 1));
        }
    }

    proptest::proptest! {
        #[test]
        fn date_times_survive_a_round_trip(seconds in 0u64..253_402_000_000, zone in -1439i16..1440) {
            let want = DateTime { at: Millis::from_seconds(seconds.max(86_400)), zone };
            let mut text = Vec::new();
            want.write(&mut text);
            proptest::prop_assert_eq!(date_time(std::str::from_utf8(&text).unwrap()), Ok(want));
        }

        #[test]
        fn days_survive_a_round_trip(days in -719_000i32..2_900_000) {
            let (year, month, day) = Date::from_days(days).calendar();
            let back = Date::from_calendar(u16::try_from(year).unwrap(), month, day);
            proptest::prop_assert_eq!(back, Some(Date::from_days(days)));
        }
    }
}
