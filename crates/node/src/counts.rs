//! [`Exchange`]: nodes tell each other what their limits have counted, so that limits
//! against abuse hold per cluster. Owns the streams and who holds what for how long
//! after its stream ended; what a count means is [`postrider_net::Counts`]' business.
//!
//! A star: every node keeps one stream to the node that leads, which passes on what
//! each tells. A stream begins with all that its sender knows; then come changes,
//! gathered for [`INTERVAL`], so that the last node knows after two of them. Nothing
//! is sent while nothing changes. Without a leader each node counts for itself.

mod stream;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postrider_net::Counts;
use postrider_rpc::proto::CountsPart;
use postrider_rpc::{Channels, Failure};
use postrider_types::NodeId;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

pub(crate) use stream::Parts;

/// Between parts. Two of them lie between any two nodes.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long a node's connections count after its stream has ended.
const GRACE: Duration = Duration::from_secs(5);
/// Counts of one limit in one flush, and of all in one part.
const MOST: usize = 8192;
/// Parts that wait for one node; with more it must begin anew.
const QUEUE: usize = 256;

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leader {
    /// This node.
    Me,
    /// Another.
    Other {
        /// Which.
        node: NodeId,
        /// Where its server listens (HOST:PORT).
        address: String,
    },
    /// Nobody, as far as known.
    None,
}

/// This node's part in the exchange. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct Exchange(Arc<Inner>);

struct Inner {
    node: NodeId,
    counts: Counts,
    grace: Duration,
    state: Mutex<State>,
    /// There is something new in `State::lost`.
    losing: Notify,
}

#[derive(Default)]
struct State {
    leading: bool,
    /// Where this node leads one per other node; else the one to the leader's, once
    /// there is one.
    links: HashMap<u64, Link>,
    last: u64,
    /// Processes without a stream, and until when their connections count.
    lost: HashMap<u64, Instant>,
}

/// A stream in both directions.
struct Link {
    node: u64,
    /// The process there; 0 for the leader's, which speaks for all.
    origin: u64,
    queue: mpsc::Sender<CountsPart>,
    end: CancellationToken,
}

/// Ends a link when dropped.
struct Linked {
    exchange: Exchange,
    id: u64,
    origin: u64,
    end: CancellationToken,
}

impl Drop for Linked {
    fn drop(&mut self) {
        self.exchange.unlink(self.id);
    }
}

impl Exchange {
    /// For `node`, whose limits count in `counts`.
    pub(crate) fn new(node: NodeId, counts: Counts) -> Self {
        Self::with_grace(node, counts, GRACE)
    }

    fn with_grace(node: NodeId, counts: Counts, grace: Duration) -> Self {
        Self(Arc::new(Inner {
            node,
            counts,
            grace,
            state: Mutex::default(),
            losing: Notify::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells and hears until `stop`.
    pub(crate) async fn run(
        self,
        mut leader: watch::Receiver<Leader>,
        channels: Channels,
        stop: CancellationToken,
    ) {
        self.0.counts.note_changes();
        loop {
            let now = leader.borrow_and_update().clone();
            self.follow(&now);
            tokio::select! {
                () = stop.cancelled() => break,
                nobody_tells = another(&mut leader, now.clone()) => {
                    if nobody_tells {
                        self.follow(&Leader::None);
                        stop.cancelled().await;
                        break;
                    }
                }
                () = self.clone().keep_link(now.clone(), channels.clone()) => {}
                () = self.tell() => {}
                () = self.forget_lost() => {}
            }
        }
        self.follow(&Leader::None);
    }

    /// Ends all streams and takes its part under `leader`.
    fn follow(&self, leader: &Leader) {
        let holders = self.0.counts.holders();
        let mut state = self.state();
        state.leading = *leader == Leader::Me;
        // Those that do not come back within the time are gone.
        self.lose(&mut state, holders);
        for (_, link) in state.links.drain() {
            link.end.cancel();
        }
    }

    fn lose(&self, state: &mut State, origins: impl IntoIterator<Item = u64>) {
        let until = Instant::now() + self.0.grace;
        for origin in origins {
            state.lost.entry(origin).or_insert(until);
        }
        self.0.losing.notify_one();
    }

    /// Drops the connections of processes that are lost for too long.
    async fn forget_lost(&self) {
        loop {
            let next = self.state().lost.values().min().copied();
            tokio::select! {
                () = self.0.losing.notified() => continue,
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
            let mut state = self.state();
            let now = Instant::now();
            let mut gone = Vec::new();
            state.lost.retain(|origin, until| {
                let over = *until <= now;
                gone.extend(over.then_some(*origin));
                !over
            });
            self.forget(&mut state, gone);
        }
    }

    /// Drops what these processes held, and says so where this node leads.
    fn forget(&self, state: &mut State, gone: Vec<u64>) {
        let counts = &self.0.counts;
        counts.replace_held(&[], |origin| gone.contains(&origin), false);
        if state.leading {
            let part = CountsPart {
                gone,
                ..CountsPart::default()
            };
            state.send(|_| vec![part.clone()]);
        }
    }

    /// Tells changes to all links.
    async fn tell(&self) {
        loop {
            self.0.counts.changed().await;
            self.flush();
            sleep(INTERVAL).await;
        }
    }

    fn flush(&self) {
        let mut state = self.state();
        let changes = self.0.counts.take_changes(MOST);
        let (leading, own) = (state.leading, self.0.counts.origin());
        state.send(|link| {
            let report = if leading {
                // All but what it told itself.
                wire::only(&changes, |origin| origin != link.origin)
            } else {
                wire::only(&changes, |origin| origin == own)
            };
            wire::parts(report)
        });
    }

    /// Registers a stream: from now on changes wait in what it returns.
    fn link(
        &self,
        node: u64,
        origin: u64,
        leading: bool,
    ) -> Result<(Linked, mpsc::Receiver<CountsPart>), Failure> {
        let mut state = self.state();
        if state.leading != leading {
            return Err(Failure::NotLeader(None));
        }
        let before: Vec<u64> = state.links_of(node);
        for id in before {
            // Another process of that node, or the same, whose stream broke unseen.
            if let Some(link) = state.links.remove(&id) {
                link.end.cancel();
                if link.origin != origin && leading {
                    self.forget(&mut state, vec![link.origin]);
                }
            }
        }
        state.lost.remove(&origin);
        state.last += 1;
        let (id, end) = (state.last, CancellationToken::new());
        let (queue, waiting) = mpsc::channel(QUEUE);
        let link = Link {
            node,
            origin,
            queue,
            end: end.clone(),
        };
        state.links.insert(id, link);
        let linked = Linked {
            exchange: self.clone(),
            id,
            origin,
            end,
        };
        Ok((linked, waiting))
    }

    fn unlink(&self, id: u64) {
        let mut state = self.state();
        if state.links.remove(&id).is_none() {
            return;
        }
        // Where another node leads, it spoke for all.
        let holders = self.0.counts.holders();
        let linked: Vec<u64> = state.links.values().map(|link| link.origin).collect();
        let lost = holders
            .into_iter()
            .filter(|origin| !linked.contains(origin));
        self.lose(&mut state, lost);
    }
}

/// Is ready when another leads than `known`; true if nobody tells that any more.
async fn another(leader: &mut watch::Receiver<Leader>, known: Leader) -> bool {
    while *leader.borrow_and_update() == known {
        if leader.changed().await.is_err() {
            return true;
        }
    }
    false
}

impl State {
    fn links_of(&self, node: u64) -> Vec<u64> {
        let links = self.links.iter().filter(|(_, link)| link.node == node);
        links.map(|(id, _)| *id).collect()
    }

    /// Queues parts for each link. One that takes none is ended, to begin anew.
    fn send(&mut self, parts: impl Fn(&Link) -> Vec<CountsPart>) {
        for link in self.links.values() {
            let full = parts(link)
                .into_iter()
                .any(|part| link.queue.try_send(part).is_err());
            if full {
                link.end.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests;
