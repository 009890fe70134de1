//! [`Lookups`]: how many recipients are looked up at once for one client address, over
//! all its connections. A lookup may lead through a group of 10,000: without a bound, a
//! few clients that name it again and again would keep the metadata from all others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_net::Key;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Lookups at once for one address (IPv6: its /64).
const AT_ONCE: usize = 4;
/// How long one may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// The lookups of all addresses that have any now.
#[derive(Default)]
pub(crate) struct Lookups(Mutex<HashMap<Key, Arc<Semaphore>>>);

/// The right to one lookup, while it is kept.
pub(crate) struct Turn<'l> {
    // Dropped before the place looks who is left.
    _permit: OwnedSemaphorePermit,
    _place: Place<'l>,
}

/// One that looks up, or waits to.
struct Place<'l> {
    lookups: &'l Lookups,
    key: Key,
    semaphore: Arc<Semaphore>,
}

impl Lookups {
    /// Waits until `client` may look one up; None if that takes too long.
    pub(crate) async fn turn(&self, client: IpAddr) -> Option<Turn<'_>> {
        let key = Key::address(client);
        let new = || Arc::new(Semaphore::new(AT_ONCE));
        let semaphore = self.0.lock().entry(key).or_insert_with(new).clone();
        let place = Place {
            lookups: self,
            key,
            semaphore,
        };
        let permit = timeout(PATIENCE, place.semaphore.clone().acquire_owned()).await;
        Some(Turn {
            _permit: permit.ok()?.expect("the semaphore is never closed"),
            _place: place,
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut all = self.lookups.0.lock();
        // The table's and this one: nobody else is left, and nobody comes meanwhile.
        if Arc::strong_count(&self.semaphore) == 2 {
            all.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_has_few_turns_and_leaves_nothing_behind() {
        let lookups = Lookups::default();
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let mut turns = Vec::new();
        for _ in 0..AT_ONCE {
            turns.push(lookups.turn(one).await.unwrap());
        }
        assert!(lookups.turn(one).await.is_none(), "in vain");
        assert!(lookups.turn(other).await.is_some(), "that is another's");
        let (next, ()) = tokio::join!(lookups.turn(one), async { drop(turns.pop()) });
        assert!(next.is_some());
        drop((next, turns));
        assert_eq!(lookups.0.lock().len(), 0);
    }
}
