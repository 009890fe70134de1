//! Hints that an account changed, for those who watch it on this node. A burst
//! of changes is one hint; a slow watcher holds nothing up and keeps no queue.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use futures::StreamExt;
use parking_lot::Mutex;
use postrider_meta::Changes;
use postrider_types::AccountId;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

/// The watchers of this node.
#[derive(Clone, Default)]
pub(crate) struct Hints {
    accounts: Arc<Mutex<HashMap<AccountId, Watched>>>,
}

struct Watched {
    sender: watch::Sender<()>,
    watchers: usize,
}

impl Hints {
    /// Hints about `account` from now on.
    pub(crate) fn watch(&self, account: AccountId) -> Changes {
        let receiver = {
            let mut accounts = self.accounts.lock();
            let watched = accounts.entry(account).or_insert_with(|| Watched {
                sender: watch::channel(()).0,
                watchers: 0,
            });
            watched.watchers += 1;
            watched.sender.subscribe()
        };
        let guard = Guard {
            account,
            accounts: Arc::downgrade(&self.accounts),
        };
        let changes = WatchStream::from_changes(receiver);
        changes
            .map(move |()| {
                // Moved in to live as long as the stream.
                let _ = &guard;
            })
            .boxed()
    }

    /// Tells the watchers of `accounts`.
    pub(crate) fn publish(&self, accounts: &[AccountId]) {
        if accounts.is_empty() {
            return;
        }
        let watched = self.accounts.lock();
        if watched.is_empty() {
            return;
        }
        for found in accounts.iter().filter_map(|account| watched.get(account)) {
            found.sender.send_replace(());
        }
    }
}

/// Forgets the account with its last watcher.
struct Guard {
    account: AccountId,
    accounts: Weak<Mutex<HashMap<AccountId, Watched>>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(accounts) = self.accounts.upgrade() else {
            return;
        };
        let mut accounts = accounts.lock();
        if let Some(watched) = accounts.get_mut(&self.account) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                accounts.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_burst_is_one_hint_and_the_last_watcher_is_forgotten() {
        let hints = Hints::default();
        let mut first = hints.watch(AccountId(1));
        let mut second = hints.watch(AccountId(1));
        let mut other = hints.watch(AccountId(2));
        hints.publish(&[AccountId(1), AccountId(1)]);
        hints.publish(&[AccountId(1)]);
        assert_eq!(first.next().await, Some(()));
        assert_eq!(first.next().now_or_never(), None);
        assert_eq!(second.next().await, Some(()));
        assert_eq!(other.next().now_or_never(), None);
        drop(first);
        hints.publish(&[AccountId(1)]);
        assert_eq!(second.next().await, Some(()));
        drop(second);
        drop(other);
        assert!(hints.accounts.lock().is_empty());
    }
}
