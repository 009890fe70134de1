//! What many measured times come to.

use std::fmt;
use std::time::Duration;

/// Median, ninth decile and worst of measured times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Half of them took no longer.
    pub median: Duration,
    /// Nine of ten took no longer.
    pub p90: Duration,
    /// The longest.
    pub worst: Duration,
    count: usize,
}

impl Figures {
    /// Of these; `None` if there are none.
    pub fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        // The nearest rank.
        let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).max(1) - 1);
        Some(Self {
            median: *at(50)?,
            p90: *at(90)?,
            worst: *at(100)?,
            count: times.len(),
        })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(
            f,
            "median {:.0} ms, p90 {:.0} ms, worst {:.0} ms of {}",
            milliseconds(self.median),
            milliseconds(self.p90),
            milliseconds(self.worst),
            self.count
        )
    }
}
