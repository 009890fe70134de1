//! [`Exchange`]: nodes tell each other what their limits have counted, so that limits
//! against abuse hold per cluster. Owns the streams and who holds what for how long
//! after its stream ended; what a count means is [`postrider_net::Counts`]' business.
//!
//! A star: every node keeps one stream to the node that leads, which passes on what
//! each tells. A stream begins with all that its sender knows; then come changes,
//! gathered for [`INTERVAL`], so that the last node knows after two of them. Nothing
//! is sent while nothing changes. Without a leader each node counts for itself.

mod wire;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use postrider_net::Counts;
use postrider_rpc::proto::CountsPart;
use postrider_rpc::proto::nodes_client::NodesClient;
use postrider_rpc::tonic::transport::Channel;
use postrider_rpc::tonic::{Request, Response, Status, Streaming};
use postrider_rpc::{Channels, Failure};
use postrider_types::NodeId;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Between parts. Two of them lie between any two nodes.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long a node's connections count after its stream has ended.
const GRACE: Duration = Duration::from_secs(5);
/// Counts of one limit in one flush, and of all in one part.
const MOST: usize = 8192;
/// Parts that wait for one node; with more it must begin anew.
const QUEUE: usize = 256;
/// How long the other side may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between tries to reach the leader's node, at first and at last.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What a stream carries to its caller.
pub(crate) type Parts = BoxStream<'static, Result<CountsPart, Status>>;

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

    /// What this side says: everything, then what waits.
    fn says(&self, to: u64, waiting: mpsc::Receiver<CountsPart>) -> BoxStream<'static, CountsPart> {
        let exchange = self.clone();
        // Not before the other side is there to hear it.
        let all = async move { stream::iter(exchange.beginning(to)) };
        let waiting = stream::unfold(waiting, |mut waiting| async {
            waiting.recv().await.map(|part| (part, waiting))
        });
        stream::once(all).flatten().chain(waiting).boxed()
    }

    /// All that this node knows, for the process `to` (0: the leader's).
    fn beginning(&self, to: u64) -> Vec<CountsPart> {
        let mut report = self.0.counts.everything();
        let own = self.0.counts.origin();
        // The leader's node passes on what all hold; others say what they hold.
        // Of events everybody says everything: those who counted may be gone.
        let keep = |origin| if to == 0 { origin == own } else { origin != to };
        for (_, held) in &mut report.held {
            held.retain(|held| keep(held.origin));
        }
        let mut parts = wire::parts(report);
        if parts.is_empty() {
            parts.push(CountsPart::default());
        }
        let last = parts.len() - 1;
        for (at, part) in parts.iter_mut().enumerate() {
            part.more = at != last;
        }
        parts[0].node = self.0.node.0;
        parts[0].origin = own;
        parts
    }

    /// The server's half: a node that keeps its stream to this one.
    pub(crate) async fn accept(
        &self,
        request: Request<Streaming<CountsPart>>,
    ) -> Result<Response<Parts>, Status> {
        if !self.state().leading {
            return Err(Failure::NotLeader(None).into());
        }
        let mut incoming = request.into_inner();
        let first = timeout(PATIENCE, incoming.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("nothing was said"))??;
        let unknown = || Status::invalid_argument("the first part says who sends it");
        let first = first
            .filter(|first| first.origin != 0)
            .ok_or_else(unknown)?;
        let (linked, waiting) = self.link(first.node, first.origin, true)?;
        let says = self.says(first.origin, waiting).map(Ok);
        // Ends also for the caller when the link does.
        let says = says
            .take_until(linked.end.clone().cancelled_owned())
            .boxed();
        let exchange = self.clone();
        tokio::spawn(async move {
            if let Err(status) = exchange.hear(incoming, Some(first), &linked).await {
                tracing::debug!(%status, "a node's counts have ended");
            }
        });
        Ok(Response::new(says))
    }

    /// Keeps a stream to the leader's node, if that is another.
    async fn keep_link(self, leader: Leader, channels: Channels) {
        let Leader::Other { node, address } = leader else {
            return std::future::pending().await;
        };
        let mut pause = RETRY.0;
        loop {
            let began = Instant::now();
            let channel = channels.node(node.0, &address);
            let linked = match channel {
                Ok(channel) => self.clone().call(node, NodesClient::new(channel)).await,
                Err(error) => Err(Failure::Failed(error.to_string()).into()),
            };
            if let Err(status) = linked {
                tracing::debug!(%node, %status, "no counts from the leader's node");
            }
            if began.elapsed() > PATIENCE * 2 {
                pause = RETRY.0;
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }

    async fn call(self, node: NodeId, mut client: NodesClient<Channel>) -> Result<(), Status> {
        let (linked, waiting) = self.link(node.0, 0, false)?;
        let answer = timeout(PATIENCE, client.counts(Says(self.says(0, waiting)))).await;
        let answer = answer.map_err(|_| Status::deadline_exceeded("no answer"))??;
        self.hear(answer.into_inner(), None, &linked).await
    }

    /// Takes over what the other side says, until it ends.
    async fn hear(
        &self,
        mut incoming: Streaming<CountsPart>,
        first: Option<CountsPart>,
        linked: &Linked,
    ) -> Result<(), Status> {
        let mut heard = wire::Heard::new(linked.origin);
        let mut next = first;
        loop {
            let part = match next.take() {
                Some(part) => part,
                None => {
                    let part = linked.end.run_until_cancelled(incoming.message()).await;
                    match part.transpose()?.flatten() {
                        Some(part) => part,
                        None => return Ok(()),
                    }
                }
            };
            let gone = part.gone.clone();
            if heard.take(&self.0.counts, part)? && linked.origin == 0 {
                // What the leader's node knows is what counts now.
                self.state().lost.clear();
            }
            if linked.origin == 0 && !gone.is_empty() {
                let counts = &self.0.counts;
                counts.replace_held(&[], |origin| gone.contains(&origin), false);
            }
        }
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

/// What a node says, as a type with a name: the compiler does not see that a
/// call with the boxed stream itself is `Send`.
struct Says(BoxStream<'static, CountsPart>);

impl stream::Stream for Says {
    type Item = CountsPart;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<CountsPart>> {
        self.0.poll_next_unpin(cx)
    }
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
