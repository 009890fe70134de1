//! Who waits for changes of which account. Hints carry nothing but the account
//! and are coalesced: a watcher that has not looked yet is not told again, so
//! what waits for it is bounded by what it watches.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::stream::{Stream, StreamExt};
use futures::task::AtomicWaker;
use postrider_types::AccountId;

use crate::api::Changes;

type Table = BTreeMap<AccountId, Vec<Arc<Inbox>>>;

/// The watchers of one node. A backend notifies them after it applied a batch.
#[derive(Clone, Debug, Default)]
pub struct Watchers {
    table: Arc<Mutex<Table>>,
}

/// What waits for one watcher.
#[derive(Debug, Default)]
struct Inbox {
    hinted: Mutex<BTreeSet<AccountId>>,
    waker: AtomicWaker,
}

impl Inbox {
    fn put(&self, accounts: impl IntoIterator<Item = AccountId>) {
        lock(&self.hinted).extend(accounts);
        self.waker.wake();
    }
}

/// No panic leaves a table half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watchers {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hints about `account`, from now on.
    pub fn watch(&self, account: AccountId) -> Changes {
        let mut group = self.group();
        group.add(account);
        group.map(|_| ()).boxed()
    }

    /// A watcher of many accounts; of none yet.
    pub fn group(&self) -> Group {
        Group {
            table: Arc::clone(&self.table),
            inbox: Arc::default(),
            accounts: BTreeSet::new(),
        }
    }

    /// Hints to all watchers of `accounts`.
    pub fn notify<'a>(&self, accounts: impl IntoIterator<Item = &'a AccountId>) {
        let table = lock(&self.table);
        for account in accounts {
            for inbox in table.get(account).into_iter().flatten() {
                inbox.put([*account]);
            }
        }
    }

    /// Hints to everybody: after a snapshot was installed nobody knows what
    /// changed.
    pub fn notify_all(&self) {
        for (account, inboxes) in &*lock(&self.table) {
            for inbox in inboxes {
                inbox.put([*account]);
            }
        }
    }
}

/// A watcher of many accounts: a stream of those that something changed of, in
/// ascending order, each once however often it changed. Never ends.
#[derive(Debug)]
pub struct Group {
    table: Arc<Mutex<Table>>,
    inbox: Arc<Inbox>,
    accounts: BTreeSet<AccountId>,
}

/// The most accounts of one item.
const TOLD_AT_ONCE: usize = 4096;

impl Group {
    /// Watches `account` too. False if it did already.
    pub fn add(&mut self, account: AccountId) -> bool {
        let new = self.accounts.insert(account);
        if new {
            let inbox = Arc::clone(&self.inbox);
            lock(&self.table).entry(account).or_default().push(inbox);
        }
        new
    }

    /// Watches `account` no longer.
    pub fn remove(&mut self, account: AccountId) {
        if self.accounts.remove(&account) {
            self.forget(&mut lock(&self.table), account);
            lock(&self.inbox.hinted).remove(&account);
        }
    }

    /// Hints at what it watches among `accounts`, as if that had changed.
    pub fn hint(&self, accounts: impl IntoIterator<Item = AccountId>) {
        let accounts = accounts.into_iter();
        self.inbox
            .put(accounts.filter(|account| self.accounts.contains(account)));
    }

    /// How many accounts it watches.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// It watches nothing.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    fn forget(&self, table: &mut Table, account: AccountId) {
        if let Some(inboxes) = table.get_mut(&account) {
            inboxes.retain(|inbox| !Arc::ptr_eq(inbox, &self.inbox));
            if inboxes.is_empty() {
                table.remove(&account);
            }
        }
    }
}

impl Stream for Group {
    type Item = Vec<AccountId>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Before looking, so that nothing put after the look is missed.
        self.inbox.waker.register(cx.waker());
        let mut hinted = lock(&self.inbox.hinted);
        if hinted.is_empty() {
            return Poll::Pending;
        }
        let rest = match hinted.iter().nth(TOLD_AT_ONCE).copied() {
            Some(next) => hinted.split_off(&next),
            None => BTreeSet::new(),
        };
        let told = std::mem::replace(&mut *hinted, rest);
        Poll::Ready(Some(told.into_iter().collect()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let mut table = lock(&self.table);
        for account in std::mem::take(&mut self.accounts) {
            self.forget(&mut table, account);
        }
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
        assert!(watchers.table.lock().unwrap().is_empty());
    }

    #[test]
    fn a_group_is_told_of_its_own_accounts_alone() {
        let watchers = Watchers::new();
        let ids: Vec<AccountId> = (1..=5000).map(AccountId).collect();
        let mut group = watchers.group();
        for id in &ids {
            assert!(group.add(*id));
        }
        assert!(!group.add(ids[0]));
        let other = watchers.watch(AccountId(9000));
        watchers.notify([&AccountId(7), &AccountId(9000), &AccountId(3)]);
        watchers.notify([&AccountId(7)]);
        let told = group.next().now_or_never().flatten();
        assert_eq!(told, Some(vec![AccountId(3), AccountId(7)]));
        // In pieces when there is much to tell; nothing that was dropped.
        watchers.notify_all();
        group.remove(ids[4999]);
        group.hint([AccountId(1), AccountId(9000)]);
        let first = group.next().now_or_never().flatten().unwrap();
        let rest = group.next().now_or_never().flatten().unwrap();
        assert_eq!([first, rest].concat(), ids[..4999]);
        assert!(group.next().now_or_never().is_none());
        assert_eq!(group.len(), 4999);
        drop((group, other));
        assert!(watchers.table.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_sleeping_watcher_is_woken() {
        let watchers = Watchers::new();
        let mut changes = watchers.watch(AccountId(1));
        let (told, ()) = tokio::join!(changes.next(), async {
            tokio::task::yield_now().await;
            watchers.notify([&AccountId(1)]);
        });
        assert_eq!(told, Some(()));
    }
}
