//! How slowly a large body may come: a rate that holds over the last minutes and not
//! over the whole, so that who was fast at first cannot stand still for hours.
//!
//! Counts nothing but the time in which the client is waited for.

use std::time::Duration;

/// For how long the client may send nothing: at the start, and at most ever.
const CREDIT: Duration = Duration::from_secs(120);

/// The pace of one body. Each byte earns time, waiting uses it up.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// In bytes a second; 0 for no limit.
    rate: u64,
    left: Duration,
}

impl Pace {
    /// A body that comes with at least `rate` bytes a second, over any two minutes; 0
    /// for no limit.
    pub fn new(rate: u64) -> Self {
        Self { rate, left: CREDIT }
    }

    /// How long the next bytes may take, with `timeout` as the limit for each read.
    pub(crate) fn limit(&self, timeout: Duration) -> Duration {
        match self.rate {
            0 => timeout,
            _ => timeout.min(self.left),
        }
    }

    /// The client was waited for so long, and sent so much.
    pub(crate) fn count(&mut self, waited: Duration, bytes: usize) {
        self.left = self.left.saturating_sub(waited);
        let nanos = (bytes as u64).saturating_mul(1_000_000_000);
        if let Some(earned) = nanos.checked_div(self.rate) {
            let left = self.left.saturating_add(Duration::from_nanos(earned));
            self.left = left.min(CREDIT);
        }
    }

    /// Whether the client has been too slow.
    pub(crate) fn is_lost(&self) -> bool {
        self.rate != 0 && self.left.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_came_fast_earns_no_more_than_two_minutes() {
        let mut pace = Pace::new(256);
        pace.count(SECOND, 14 << 20);
        assert_eq!(pace.limit(LONG), CREDIT);
        for _ in 0..6 {
            assert!(!pace.is_lost());
            pace.count(SECOND * 20, 1);
        }
        pace.count(SECOND, 0);
        assert!(pace.is_lost());
    }

    #[test]
    fn who_keeps_the_rate_may_take_hours() {
        let mut pace = Pace::new(256);
        for _ in 0..10_000 {
            pace.count(SECOND * 10, 2560);
        }
        assert_eq!(pace.limit(LONG), CREDIT);
        assert_eq!(pace.limit(SECOND), SECOND);
    }

    #[test]
    fn without_a_rate_only_silence_counts() {
        let mut pace = Pace::new(0);
        pace.count(LONG, 1);
        assert_eq!(pace.limit(LONG), LONG);
        assert!(!pace.is_lost());
    }
}
