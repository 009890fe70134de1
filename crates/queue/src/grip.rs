//! [`Grip`]: the hold that this node has on an entry while its lease lasts.
//!
//! Measured by the monotonic clock from before the lease was asked for, so that
//! it ends here no later than for the others, whatever the wall clocks do.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use postrider_types::QueueId;

/// Another node may have the entry from a lease's end on. What is begun this
/// close to it may not be finished in time.
const MARGIN: Duration = Duration::from_secs(2);

/// Nobody is asked whether a lease is still good that was so this short a time ago.
const FRESH: Duration = Duration::from_secs(1);

/// A leased entry.
#[derive(Debug)]
pub(crate) struct Grip {
    pub(crate) id: QueueId,
    /// The number of the lease: the fence.
    pub(crate) lease: u64,
    /// None once it is known to be lost.
    until: Mutex<Option<Instant>>,
    /// When the metadata last had it.
    confirmed: Mutex<Instant>,
}

impl Grip {
    /// A lease that was asked for at `asked`.
    pub(crate) fn new(id: QueueId, lease: u64, asked: Instant, ttl: Duration) -> Self {
        Self {
            id,
            lease,
            until: Mutex::new(Some(asked + ttl)),
            confirmed: Mutex::new(asked),
        }
    }

    /// Whether the entry may still be worked on.
    pub(crate) fn holds(&self) -> bool {
        let until = *self.until.lock();
        until.is_some_and(|until| Instant::now() + MARGIN < until)
    }

    /// Whether the metadata had the lease only now. An administrator may have taken the
    /// entry since otherwise.
    pub(crate) fn is_fresh(&self) -> bool {
        self.confirmed.lock().elapsed() < FRESH
    }

    /// The lease was prolonged, by a request that was sent at `asked`.
    pub(crate) fn prolong(&self, asked: Instant, ttl: Duration) {
        let mut until = self.until.lock();
        // A lease that was lost does not come back under its number.
        if let Some(until) = until.as_mut() {
            *until = (asked + ttl).max(*until);
            *self.confirmed.lock() = asked;
        }
    }

    /// Another has it, or nobody.
    pub(crate) fn lose(&self) {
        *self.until.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    #[test]
    fn a_grip_holds_until_shortly_before_the_lease_ends() {
        let now = Instant::now();
        assert!(Grip::new(QueueId(1), 1, now, TTL).holds());
        let grip = Grip::new(QueueId(1), 1, now, MARGIN);
        assert!(!grip.holds());
        grip.prolong(now, TTL);
        assert!(grip.holds());
        grip.lose();
        grip.prolong(now, TTL);
        assert!(!grip.holds());
    }
}
