//! [`Slots`]: the rights to connections to other servers: how many there may be in all,
//! how many for what is in bulk, and how many to newcomers, which are destinations that
//! have not taken a message lately.
//!
//! Whoever has a domain decides how long its servers keep us waiting: newcomers leave
//! connections to those that are known to take mail.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::hands::share;
use crate::trouble::Trouble;

/// How long a newcomer waits for its turn before it is put off: its messages must not
/// fill the window meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most destinations in one of the two ages of those that take mail.
const CAPACITY: usize = 10_000;

/// Gives rights to connections.
pub(crate) struct Slots {
    all: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
    newcomers: Arc<Semaphore>,
    proven: Mutex<Proven>,
    /// Of newcomers.
    patience: Duration,
}

/// Destinations that have taken a message and have not kept us waiting since, in two
/// ages: where the young ones are many, the old ones go.
#[derive(Default)]
struct Proven {
    young: HashSet<String>,
    old: HashSet<String>,
}

/// The right to one connection.
pub(crate) struct Permit {
    newcomer: Option<OwnedSemaphorePermit>,
    _bulk: Option<OwnedSemaphorePermit>,
    _one: OwnedSemaphorePermit,
}

impl Slots {
    /// Rights to `connections`: three quarters of them for what is in bulk, and half of
    /// them for newcomers, at the most.
    pub(crate) fn new(connections: usize) -> Self {
        Self::with_patience(connections, PATIENCE)
    }

    fn with_patience(connections: usize, patience: Duration) -> Self {
        let semaphore = |count| Arc::new(Semaphore::new(count));
        Self {
            all: semaphore(connections),
            bulk: semaphore(share(connections)),
            newcomers: semaphore(connections.div_ceil(2)),
            proven: Mutex::default(),
            patience,
        }
    }

    /// The right to a connection to `destination`, which is `open` where its servers are
    /// not known from settings.
    pub(crate) async fn permit(
        &self,
        destination: &str,
        open: bool,
        bulk: bool,
    ) -> Result<Permit, Trouble> {
        let take = |from: &Arc<Semaphore>| {
            let acquired = from.clone().acquire_owned();
            async { acquired.await.map_err(|_| stopping()) }
        };
        let newcomer = match open && !self.is_proven(destination) {
            true => Some(match timeout(self.patience, take(&self.newcomers)).await {
                Ok(newcomer) => newcomer?,
                Err(_) => return Err(Trouble::busy(NO_TURN)),
            }),
            false => None,
        };
        let bulk = match bulk {
            true => Some(take(&self.bulk).await?),
            false => None,
        };
        Ok(Permit {
            newcomer,
            _bulk: bulk,
            _one: take(&self.all).await?,
        })
    }

    /// Whether others wait for a connection that is kept for more of the same.
    pub(crate) fn are_lacking(&self) -> bool {
        let none = |semaphore: &Semaphore| semaphore.available_permits() == 0;
        none(&self.all) || none(&self.bulk)
    }

    /// A destination has taken a message.
    pub(crate) fn prove(&self, destination: &str) {
        let mut proven = self.proven.lock();
        if proven.young.contains(destination) {
            return;
        }
        if proven.young.len() >= CAPACITY {
            proven.old = std::mem::take(&mut proven.young);
        }
        proven.young.insert(destination.to_owned());
    }

    /// A destination has kept us waiting for nothing.
    pub(crate) fn doubt(&self, destination: &str) {
        let mut proven = self.proven.lock();
        proven.young.remove(destination);
        proven.old.remove(destination);
    }

    fn is_proven(&self, destination: &str) -> bool {
        let proven = self.proven.lock();
        proven.young.contains(destination) || proven.old.contains(destination)
    }
}

impl Permit {
    /// The destination has taken a message: it is no newcomer any more.
    pub(crate) fn prove(&mut self) {
        self.newcomer = None;
    }
}

/// Why a newcomer waits.
const NO_TURN: &str = "all connections for destinations that have not taken a message yet \
    are in use (half of queue.connections)";

fn stopping() -> Trouble {
    Trouble::ours((4, 3, 2), "this node is stopping")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn newcomers_have_half_until_they_take_a_message() {
        let slots = Slots::with_patience(4, Duration::from_millis(50));
        let permit = |name: &'static str| slots.permit(name, true, false);
        let mut one = permit("one.test").await.unwrap_or_else(|_| panic!("free"));
        let two = permit("two.test").await;
        assert!(permit("three.test").await.is_err_and(|it| it.busy));
        assert!(slots.permit("inner.test", false, false).await.is_ok());
        slots.prove("one.test");
        one.prove();
        let again = (permit("one.test").await, permit("three.test").await);
        assert!(again.0.is_ok() && again.1.is_ok() && slots.are_lacking());
        drop(again);
        slots.doubt("one.test");
        let held = permit("three.test").await;
        assert!(permit("one.test").await.is_err());
        drop((held, two));
    }

    #[test]
    fn as_many_are_remembered_as_there_is_room_for() {
        let slots = Slots::new(1);
        for number in 0..=2 * CAPACITY {
            slots.prove(&format!("{number}.test"));
        }
        assert!(!slots.is_proven("0.test"));
        assert!(slots.is_proven(&format!("{CAPACITY}.test")));
        let proven = slots.proven.lock();
        assert!(proven.young.len() + proven.old.len() <= 2 * CAPACITY);
    }
}
