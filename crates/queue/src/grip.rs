//! [`Grip`]: the hold that this node has on an entry while its lease lasts.
//!
//! Measured by the monotonic clock from before the lease was asked for, so that
//! it ends here no later than for the others, whatever the wall clocks do.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use postrider_meta::QueuedView;
use postrider_types::{Millis, QueueId};

/// Another node may have the entry from a lease's end on. What is begun this
/// close to it may not be finished in time.
const MARGIN: Duration = Duration::from_secs(2);
/// Nobody is asked whether a lease is still good that was so this short a time ago.
const FRESH: Duration = Duration::from_secs(1);

/// A leased entry.
#[derive(Debug)]
pub(crate) struct Grip {
    pub(crate) id: QueueId,
    turn: Turn,
    lease: Mutex<Lease>,
}

/// The lease of a grip.
#[derive(Debug)]
struct Lease {
    /// The fence.
    number: u64,
    /// None once it is known to be lost.
    until: Option<Instant>,
    /// When the metadata last had it.
    confirmed: Instant,
}

/// What an entry was leased for: each settlement changes something of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    attempts: u32,
    due: Millis,
    warn: Option<Millis>,
    recipients: usize,
}

impl Turn {
    pub(crate) fn of(entry: &QueuedView) -> Self {
        Self {
            attempts: entry.attempts,
            due: entry.due,
            warn: entry.warn,
            recipients: entry.recipients.len(),
        }
    }
}

impl Grip {
    /// A lease that was asked for at `asked`.
    pub(crate) fn new(id: QueueId, lease: u64, turn: Turn, asked: Instant, ttl: Duration) -> Self {
        let lease = Lease {
            number: lease,
            until: Some(asked + ttl),
            confirmed: asked,
        };
        Self {
            id,
            turn,
            lease: Mutex::new(lease),
        }
    }

    /// The number of the lease.
    pub(crate) fn lease(&self) -> u64 {
        self.lease.lock().number
    }

    /// Whether the entry may still be worked on.
    pub(crate) fn holds(&self) -> bool {
        let until = self.lease.lock().until;
        until.is_some_and(|until| Instant::now() + MARGIN < until)
    }

    /// Whether the metadata had the lease only now. An administrator may have taken the
    /// entry since otherwise.
    pub(crate) fn is_fresh(&self) -> bool {
        self.lease.lock().confirmed.elapsed() < FRESH
    }

    /// The entry came to this node once more, under the number `lease`. True where it is
    /// for the same turn: what is under way goes on. The settlement of it may have been
    /// applied otherwise.
    pub(crate) fn take_up(&self, lease: u64, turn: &Turn, asked: Instant, ttl: Duration) -> bool {
        if *turn != self.turn {
            return false;
        }
        *self.lease.lock() = Lease {
            number: lease,
            until: Some(asked + ttl),
            confirmed: asked,
        };
        true
    }

    /// The lease with this number was prolonged, by a request that was sent at `asked`.
    pub(crate) fn prolong(&self, number: u64, asked: Instant, ttl: Duration) {
        let mut lease = self.lease.lock();
        // One that was lost does not come back under its number.
        if let (true, Some(until)) = (lease.number == number, lease.until) {
            lease.until = Some(until.max(asked + ttl));
            lease.confirmed = asked;
        }
    }

    /// Another has the lease with this number, or nobody.
    pub(crate) fn lose(&self, number: u64) {
        let mut lease = self.lease.lock();
        if lease.number == number {
            lease.until = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn grip(now: Instant, ttl: Duration) -> Grip {
        Grip::new(QueueId(1), 1, Turn::default(), now, ttl)
    }

    #[test]
    fn a_grip_holds_until_shortly_before_the_lease_ends() {
        let now = Instant::now();
        assert!(grip(now, TTL).holds());
        let grip = grip(now, MARGIN);
        assert!(!grip.holds());
        grip.prolong(1, now, TTL);
        assert!(grip.holds());
        grip.lose(1);
        grip.prolong(1, now, TTL);
        assert!(!grip.holds());
    }

    #[test]
    fn a_lease_that_comes_again_goes_on_for_the_same_turn_alone() {
        let now = Instant::now();
        let grip = grip(now, TTL);
        let other = Turn {
            attempts: 1,
            ..Turn::default()
        };
        assert!(!grip.take_up(2, &other, now, TTL));
        assert_eq!(grip.lease(), 1);
        grip.lose(1);
        assert!(grip.take_up(2, &Turn::default(), now, TTL));
        // What was asked about the old number says nothing of the new one.
        grip.lose(1);
        assert!(grip.holds() && grip.lease() == 2);
        grip.lose(2);
        assert!(!grip.holds());
    }
}
