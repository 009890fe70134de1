//! The metadata store on other nodes, as [`Meta`]: what a frontend without a
//! replica holds. Finds the voters by itself, sends commands to the one that
//! leads and queries to any, and tries again until the time is up, so that the
//! death of a voter is a pause and not an error.

pub(crate) mod call;
mod execute;
mod keeper;
mod membership;
mod query;
mod voters;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use postrider_meta::query::StoreId;
use postrider_meta::{
    Answer, Changes, Command, Error as MetaError, Executed, Meta, Query, ReadAt, Token, limit,
};
use postrider_rpc::{Channels, Failure};
use postrider_types::{AccountId, CommandId};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::payload;
use crate::standing::Standing;
use voters::{Address, Voters};
use watch::Interest;

/// A client of the metadata cluster. Cheap to clone; all clones share one
/// knowledge of the voters, and one stream of hints.
#[derive(Clone)]
pub struct Remote {
    inner: Arc<Inner>,
}

/// Ends the background tasks with the last clone.
struct Inner {
    shared: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    watcher: Mutex<Option<JoinHandle<()>>>,
    prober: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in [&self.keeper, &self.watcher, &self.prober] {
            if let Some(task) = task.lock().take() {
                task.abort();
            }
        }
    }
}

/// What calls and background tasks share.
struct Shared {
    channels: Channels,
    seeds: Vec<Address>,
    voters: Voters,
    /// Somebody waits for fresh knowledge.
    wanted: Notify,
    timeout: Duration,
    interest: Arc<Interest>,
    standing: Standing,
    /// How many second tries queries may make while the first is still open,
    /// times [`query::PRICE`].
    spare: AtomicI32,
}

impl Remote {
    /// A client of the cluster that the nodes at `seeds` (HOST:PORT) know: of
    /// any role, one of them alive is enough. Needs no network yet. A call may
    /// take `timeout`, all tries together; at most five minutes.
    pub fn new(
        channels: Channels,
        seeds: impl IntoIterator<Item = String>,
        timeout: Duration,
    ) -> Self {
        let seeds: Vec<Address> = seeds.into_iter().map(Into::into).collect();
        // Far within the time for which verdicts are remembered.
        let timeout = timeout.min(limit::VERDICTS / 2);
        let shared = Shared {
            channels,
            voters: Voters::new(&seeds),
            seeds,
            wanted: Notify::new(),
            timeout,
            interest: Arc::default(),
            standing: Standing::new(timeout),
            spare: AtomicI32::new(query::MOST_SPARE),
        };
        Self {
            inner: Arc::new(Inner {
                shared: Arc::new(shared),
                keeper: Mutex::default(),
                watcher: Mutex::default(),
                prober: Mutex::default(),
            }),
        }
    }

    /// The shared part, with somebody who keeps it fresh.
    fn shared(&self) -> &Arc<Shared> {
        let shared = &self.inner.shared;
        begin(&self.inner.keeper, || {
            keeper::keep(Arc::clone(shared)).boxed()
        });
        begin(&self.inner.prober, || probe(Arc::clone(shared)).boxed());
        shared
    }
}

/// Starts a background task once, and again where its runtime has ended.
fn begin(task: &Mutex<Option<JoinHandle<()>>>, run: impl FnOnce() -> BoxFuture<'static, ()>) {
    let mut task = task.lock();
    if task.as_ref().is_none_or(JoinHandle::is_finished) {
        *task = Some(tokio::spawn(run()));
    }
}

/// Knows whether a majority answers whom this node asks.
async fn probe(shared: Arc<Shared>) {
    let Ok(query) = payload::encode(&Query::from(StoreId {})) else {
        tracing::error!("a query cannot be encoded: a lost majority will not be noticed");
        return;
    };
    let probe = || async {
        let answered = shared.query(query.clone(), ReadAt::Latest).await;
        answered.map(drop)
    };
    let changed = || shared.interest.hint_all();
    shared.standing.keep(probe, changed).await;
}

impl Shared {
    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }
}

/// What a call has tried, for the error at its end.
#[derive(Default)]
struct Trail(BTreeMap<Address, String>);

impl Trail {
    fn note(&mut self, address: &Address, what: impl std::fmt::Display) {
        self.0.insert(Address::clone(address), what.to_string());
    }

    /// The time is up.
    fn late(self, timeout: Duration) -> MetaError {
        let tried: Vec<String> = self
            .0
            .into_iter()
            .map(|(address, what)| format!("{address}: {what}"))
            .collect();
        let tried = match tried.is_empty() {
            true => "no node knows of a leader".to_owned(),
            false => tried.join("; "),
        };
        MetaError::Unavailable(format!(
            "no answer within {timeout:?} ({tried}); most metadata nodes must run and be \
             reachable from here: see `postrider cluster status`"
        ))
    }
}

#[async_trait]
impl Meta for Remote {
    async fn execute(&self, id: CommandId, command: Command) -> Result<Executed, MetaError> {
        let command = payload::encode(&command).map_err(payload::error)?;
        self.shared().execute(id, command).await
    }

    async fn query(&self, query: Query, at: ReadAt) -> Result<(Answer, Token), MetaError> {
        let query = payload::encode(&query).map_err(payload::error)?;
        self.shared().query(query, at).await
    }

    fn watch(&self, account: AccountId) -> Changes {
        let shared = self.shared();
        let changes = shared.interest.watch(account);
        begin(&self.inner.watcher, || {
            watch::run(Arc::clone(shared)).boxed()
        });
        changes
    }

    fn lacks_majority(&self) -> bool {
        self.inner.shared.standing.lacks_majority()
    }

    async fn majority_lost(&self) {
        self.inner.shared.standing.majority_lost().await;
    }
}

/// Whether a failure ends a call wherever it comes from.
fn is_final(failure: &Failure) -> bool {
    !matches!(failure, Failure::Unavailable(_) | Failure::NotLeader(_))
}
