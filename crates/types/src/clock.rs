//! Time and randomness as traits, so that the domain is deterministic under test.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// Whole seconds since the Unix epoch.
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The moment `seconds` after the Unix epoch.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// This moment and `span` more.
    pub fn after(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// This moment less `span`, not before the epoch.
    pub fn before(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// The time from `earlier` to this moment, zero where it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Tells the wall-clock time.
pub trait Clock: Send + Sync + 'static {
    /// Now, UTC. May jump: nothing that must not be lost may depend on it.
    fn now(&self) -> Millis;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that never runs ahead: it shows what the other one does, but goes at most
/// a hundredth faster than time passes. For deciding what is old enough to be
/// removed: a clock that jumps ahead must not make everything old. One that jumps back
/// and returns is believed again at once; until then [`SteadyClock::latest`] stands still.
pub struct SteadyClock {
    inner: Box<dyn Clock>,
    state: Mutex<Steady>,
}

struct Steady {
    /// What the other one may show at the most, and since when.
    bound: (Instant, Millis),
    /// The latest moment that this one has shown.
    latest: Millis,
}

impl SteadyClock {
    /// One that shows what `inner` does now.
    pub fn new(inner: impl Clock) -> Self {
        let now = inner.now();
        let state = Steady {
            bound: (Instant::now(), now),
            latest: now,
        };
        Self {
            inner: Box::new(inner),
            state: Mutex::new(state),
        }
    }

    /// What this one shows, and where the other one has jumped back what it showed
    /// before. For dating what must not seem old.
    pub fn latest(&self) -> Millis {
        self.look().1
    }

    /// What it shows, and the latest that it has shown.
    fn look(&self) -> (Millis, Millis) {
        // No panic leaves it half changed.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = self.inner.now();
        let (since, bound) = state.bound;
        let bound = follow(bound, since.elapsed(), shown);
        state.bound = (Instant::now(), bound);
        let now = shown.min(bound);
        state.latest = state.latest.max(now);
        (now, state.latest)
    }
}

impl Clock for Arc<dyn Clock> {
    fn now(&self) -> Millis {
        self.as_ref().now()
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Millis {
        self.look().0
    }
}

/// What a bound is after `passed`, where the other clock shows `shown`: the same, as
/// far as that can be had by going half as fast to a hundredth faster than time.
fn follow(bound: Millis, passed: Duration, shown: Millis) -> Millis {
    shown.clamp(bound.after(passed / 2), bound.after(passed + passed / 100))
}

/// Gives random bytes fit for ids and secrets.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_steady_clock_does_not_run_ahead() {
        let minute = Duration::from_secs(60);
        let start = Millis::from_seconds(1_000_000);
        let hour = Duration::from_secs(3600);
        assert_eq!(
            follow(start, minute, start.after(minute)),
            start.after(minute)
        );
        let ahead = follow(start, minute, start.after(hour));
        assert_eq!(ahead, start.after(Duration::from_millis(60_600)));
        let clock = SteadyClock::new(SystemClock);
        assert!(clock.now() <= SystemClock.now());
    }

    #[test]
    fn a_steady_clock_goes_back_but_for_what_must_not_seem_old_and_returns() {
        let shown = Arc::new(AtomicU64::new(1_000_000_000));
        let clock = SteadyClock::new(Shown(shown.clone()));
        shown.store(5_000, Ordering::SeqCst);
        assert_eq!(clock.now(), Millis(5_000));
        assert_eq!(clock.latest(), Millis(1_000_000_000));
        shown.store(1_000_000_000, Ordering::SeqCst);
        assert_eq!(clock.now(), Millis(1_000_000_000));
        // One that was ahead from the beginning is believed after a while.
        let (start, hour) = (Millis::from_seconds(1_000_000), Duration::from_secs(3600));
        let behind = follow(start, hour, start.before(hour));
        assert_eq!(behind, start.after(hour / 2));
    }

    struct Shown(Arc<AtomicU64>);

    impl Clock for Shown {
        fn now(&self) -> Millis {
            Millis(self.0.load(Ordering::SeqCst))
        }
    }
}
