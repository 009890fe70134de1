//! Hints for all accounts that this node's sessions wait for, over one stream
//! to one voter. When the stream is lost it begins anew with another voter, and
//! everybody is hinted: a lost hint only delays.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use postrider_meta::{Changes, Watchers};
use postrider_rpc::{Failure, proto};
use postrider_types::AccountId;
use tokio::time::{sleep, timeout};

use super::Shared;
use super::call::{Missed, Voter};

/// For a voter to begin.
const BEGIN: Duration = Duration::from_secs(1);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// The most accounts of one message.
const AT_ONCE: usize = 4096;

/// Which accounts are waited for here, and by how many.
#[derive(Default)]
pub(super) struct Interest {
    watchers: Watchers,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    counts: BTreeMap<AccountId, usize>,
    /// The stream that is told of changes.
    line: Option<Arc<Line>>,
}

/// What a stream has yet to tell the voter.
#[derive(Default)]
struct Line {
    pending: Mutex<Pending>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct Pending {
    add: BTreeSet<AccountId>,
    drop: BTreeSet<AccountId>,
}

/// Held by a local watcher.
struct Held {
    interest: Arc<Interest>,
    account: AccountId,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.interest.release(self.account);
    }
}

impl Interest {
    /// Hints about `account`, from now on. The first one says that the voter
    /// watches it: what changed before may have been missed.
    pub(super) fn watch(self: &Arc<Self>, account: AccountId) -> Changes {
        let changes = self.watchers.watch(account);
        self.take(account);
        let held = Held {
            interest: Arc::clone(self),
            account,
        };
        changes.inspect(move |()| _ = &held).boxed()
    }

    fn take(&self, account: AccountId) {
        let mut state = self.state.lock();
        let count = state.counts.entry(account).or_default();
        *count += 1;
        if *count == 1
            && let Some(line) = &state.line
        {
            line.tell(|pending| {
                pending.drop.remove(&account);
                // Even where the voter has it still: then it confirms again.
                pending.add.insert(account);
            });
        }
    }

    fn release(&self, account: AccountId) {
        let mut state = self.state.lock();
        let Some(count) = state.counts.get_mut(&account) else {
            return;
        };
        *count -= 1;
        if *count > 0 {
            return;
        }
        state.counts.remove(&account);
        if let Some(line) = &state.line {
            line.tell(|pending| {
                pending.add.remove(&account);
                pending.drop.insert(account);
            });
        }
    }

    /// The voter says that something changed.
    fn hinted(&self, hint: proto::Hint) {
        let accounts: Vec<AccountId> = hint.accounts.into_iter().map(AccountId).collect();
        self.watchers.notify(&accounts);
    }

    /// Hints to everybody here.
    pub(super) fn hint_all(&self) {
        self.watchers.notify_all();
    }

    /// A new line, which tells everything from the beginning.
    fn begin(&self) -> Requests {
        let line = Arc::new(Line::default());
        let mut state = self.state.lock();
        line.pending.lock().add.extend(state.counts.keys());
        state.line = Some(Arc::clone(&line));
        Requests(line)
    }
}

impl Line {
    fn tell(&self, change: impl FnOnce(&mut Pending)) {
        change(&mut self.pending.lock());
        self.waker.wake();
    }
}

/// What a line has to tell, as a stream.
struct Requests(Arc<Line>);

impl Stream for Requests {
    type Item = proto::WatchRequest;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Before looking, so that nothing said after the look is missed.
        self.0.waker.register(cx.waker());
        match self.0.pending.lock().next() {
            Some(request) => Poll::Ready(Some(request)),
            None => Poll::Pending,
        }
    }
}

impl Pending {
    fn next(&mut self) -> Option<proto::WatchRequest> {
        let mut left = AT_ONCE;
        let mut some = |accounts: &mut BTreeSet<AccountId>| {
            let mut taken = Vec::new();
            while left > 0
                && let Some(account) = accounts.pop_first()
            {
                taken.push(account.0);
                left -= 1;
            }
            taken
        };
        // Drops first: the voter's room is bounded.
        let drop = some(&mut self.drop);
        let add = some(&mut self.add);
        (!drop.is_empty() || !add.is_empty()).then_some(proto::WatchRequest { add, drop })
    }
}

/// Keeps a stream of hints until it is dropped.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        let first = shared.voters.order().into_iter().next();
        if let Some(address) = first
            && let Err(missed) = follow(&shared, &address).await
        {
            tracing::debug!(%address, reason = %missed.failure, "hints have stopped");
            if !missed.answered {
                shared.voters.leave_out(&address, &missed.failure);
            }
        }
        sleep(PAUSE).await;
    }
}

/// Passes hints on until the stream is lost, or its voter does not answer any
/// more while another one does.
async fn follow(shared: &Shared, address: &str) -> Result<(), Missed> {
    let mut client = Voter::at(&shared.channels, address)?.meta();
    let begun = timeout(BEGIN, client.watch(shared.interest.begin())).await;
    let silent = |_| Missed::from(Failure::Unavailable("no stream in time".into()));
    let mut hints = begun.map_err(silent)??.into_inner();
    let mut changed = shared.voters.subscribe();
    loop {
        tokio::select! {
            hint = hints.message() => match hint? {
                Some(hint) => shared.interest.hinted(hint),
                None => return Err(Failure::Unavailable("the stream has ended".into()).into()),
            },
            // Never an error: the sending end is in `shared`.
            _ = changed.changed() => {
                if shared.voters.is_out(address) && shared.voters.other_fit(address).is_some() {
                    return Ok(());
                }
            }
        }
    }
}
