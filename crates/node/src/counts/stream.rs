//! The streams of [`Exchange`]: one to the leader's node, on that node one from each
//! other. What goes over them when is the exchange's business, what a part says
//! [`wire`]'s.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use postrider_rpc::proto::CountsPart;
use postrider_rpc::proto::nodes_client::NodesClient;
use postrider_rpc::tonic::transport::Channel;
use postrider_rpc::tonic::{Request, Response, Status, Streaming};
use postrider_rpc::{Channels, Failure};
use postrider_types::NodeId;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::{Exchange, Leader, Linked, wire};

/// How long the other side may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between tries to reach the leader's node, at first and at last.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What a stream carries to its caller.
pub(crate) type Parts = BoxStream<'static, Result<CountsPart, Status>>;

impl Exchange {
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
    pub(super) async fn keep_link(self, leader: Leader, channels: Channels) {
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

/// What a node says, as a type with a name: the compiler does not see that a
/// call with the boxed stream itself is `Send`.
struct Says(BoxStream<'static, CountsPart>);

impl stream::Stream for Says {
    type Item = CountsPart;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<CountsPart>> {
        self.0.poll_next_unpin(cx)
    }
}
