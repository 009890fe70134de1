//! Who waits for changes of which account. Hints carry nothing and are
//! coalesced: a watcher that has not looked yet is not told again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;
use futures::channel::mpsc::{Sender, channel};
use postrider_types::AccountId;

use crate::api::Changes;

/// The watchers of one node. A backend notifies them after it applied a batch.
#[derive(Debug, Default)]
pub struct Watchers {
    senders: Mutex<BTreeMap<AccountId, Vec<Sender<()>>>>,
}

impl Watchers {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hints about `account`, from now on.
    pub fn watch(&self, account: AccountId) -> Changes {
        // No buffer beside the one slot of the sender: one hint waits at most.
        let (sender, receiver) = channel(0);
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let of_account = senders.entry(account).or_default();
        of_account.retain(|sender| !sender.is_closed());
        of_account.push(sender);
        receiver.boxed()
    }

    /// Hints to all watchers of `accounts`; those that are gone are forgotten.
    pub fn notify<'a>(&self, accounts: impl IntoIterator<Item = &'a AccountId>) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        for account in accounts {
            let Some(of_account) = senders.get_mut(account) else {
                continue;
            };
            // A full slot holds a hint already.
            of_account.retain_mut(|sender| {
                sender
                    .try_send(())
                    .map_or_else(|error| !error.is_disconnected(), |()| true)
            });
            if of_account.is_empty() {
                senders.remove(account);
            }
        }
    }

    /// Hints to everybody: after a snapshot was installed nobody knows what
    /// changed.
    pub fn notify_all(&self) {
        let all: Vec<AccountId> = {
            let senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
            senders.keys().copied().collect()
        };
        self.notify(&all);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn hints_are_coalesced_and_watchers_forgotten() {
        let watchers = Watchers::new();
        let (one, two) = (AccountId(1), AccountId(2));
        let mut changes = watchers.watch(one);
        watchers.notify([&two]);
        assert!(changes.next().now_or_never().is_none());
        watchers.notify([&one]);
        watchers.notify([&one, &two]);
        assert_eq!(changes.next().now_or_never(), Some(Some(())));
        assert!(changes.next().now_or_never().is_none());
        watchers.notify_all();
        assert_eq!(changes.next().now_or_never(), Some(Some(())));
        drop(changes);
        watchers.notify([&one]);
        assert!(watchers.senders.lock().unwrap().is_empty());
    }
}
