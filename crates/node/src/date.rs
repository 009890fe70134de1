//! Dates as people write them: `2027-01-31`, in UTC.

use postrider_types::Millis;

/// Milliseconds of a day.
pub(crate) const DAY: u64 = 86_400_000;

/// The first moment of the day `YYYY-MM-DD`, from 1970 on.
pub(crate) fn parse(text: &str) -> Result<Millis, String> {
    let error = || format!("`{text}` is no date; write it as 2027-01-31");
    let mut parts = text.split('-');
    let mut number = |digits: usize| -> Option<u64> {
        let part = parts.next()?;
        let fits = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| part.parse().ok())?
    };
    let (year, month, day) = number(4)
        .zip(number(2))
        .zip(number(2))
        .map(|((year, month), day)| (year, month, day))
        .ok_or_else(error)?;
    let valid = (1970..).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day);
    if !valid || parts.next().is_some() {
        return Err(error());
    }
    let years: u64 = (1970..year)
        .map(|y| if is_leap(y) { 366 } else { 365 })
        .sum();
    let months: u64 = (1..month).map(|m| days_in(year, m)).sum();
    Ok(Millis((years + months + day - 1) * DAY))
}

/// The day of `at` as `YYYY-MM-DD`.
pub(crate) fn format(at: Millis) -> String {
    let mut days = at.0 / DAY;
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length || year > 9999 {
            break;
        }
        days -= length;
        year += 1;
    }
    let mut month = 1;
    while month < 12 && days >= days_in(year, month) {
        days -= days_in(year, month);
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", days + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_both_ways() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2027-01-31", 1_801_353_600),
            ("2100-03-01", 4_107_542_400),
        ] {
            assert_eq!(parse(text), Ok(Millis::from_seconds(seconds)), "{text}");
            assert_eq!(format(Millis::from_seconds(seconds + 3600)), text);
        }
    }

    #[test]
    fn nonsense_is_no_date() {
        for bad in [
            "",
            "2027-1-31",
            "2027-02-29",
            "2027-13-01",
            "31.1.2027",
            "1969-12-31",
            "2027-01-31-1",
            "+027-01-01",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
