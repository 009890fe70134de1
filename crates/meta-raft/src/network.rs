//! This node's side of talking Raft to the others: pipelined appends over one
//! stream per follower, votes, whole snapshots. Each request names the node that
//! it is meant for: an address may have passed to another one.

mod transfer;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::storage::Snapshot;
use openraft::{BasicNode, RaftNetworkFactory, RaftNetworkV2};
use parking_lot::RwLock;
use postrider_rpc::proto::raft_client::RaftClient;
use postrider_rpc::tonic::metadata::MetadataValue;
use postrider_rpc::tonic::transport::Channel;
use postrider_rpc::tonic::{Request, Status};
use postrider_rpc::{Channels, Failure, MAX_MESSAGE};
use tokio::time::{sleep, timeout};

use crate::acknowledged::Acknowledged;
use crate::archive::Archive;
use crate::bucket::{BUCKET, Bucket, BucketPeer};
use crate::convert;
use crate::link::Link;
use crate::raft::{StoredMembership, TypeConfig, Vote};
use crate::snapshot::Stored;

pub(crate) type SnapshotOf =
    Snapshot<openraft::type_config::alias::CommittedLeaderIdOf<TypeConfig>, u64, BasicNode, Stored>;
pub(crate) type Rpc<T> = Result<T, RPCError<TypeConfig>>;

/// Metadata of every request between members: the id of the node it is meant
/// for.
pub(crate) const NODE: &str = "postrider-node";

/// Where each member is reached, as the newest membership has it. Raft keeps the
/// streams to a member that has moved: they find it here.
#[derive(Clone, Default)]
pub(crate) struct Addresses(Arc<RwLock<HashMap<u64, String>>>);

impl Addresses {
    /// Takes over what the membership says.
    pub(crate) fn learn(&self, members: &StoredMembership) {
        let mut known = self.0.write();
        for (id, node) in members.nodes() {
            if known.get(id) != Some(&node.addr) {
                known.insert(*id, node.addr.clone());
            }
        }
    }

    fn get(&self, id: u64) -> Option<String> {
        self.0.read().get(&id).cloned()
    }
}

/// A stream of entries is begun within this time or given up: a little more than
/// a connection takes. Those of former terms would wait for a silent member
/// one after the other, each as long as a connection may take.
const BEGIN: Duration = Duration::from_secs(3);
/// After the first stream of entries that could not be begun.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The pause is doubled this often at most: to 400 ms.
const LAST_STEP: u32 = 3;

/// Between tries to send entries to a member that lacks what it has acknowledged.
const LOST_PAUSE: Duration = Duration::from_secs(5);

/// Makes clients of other members.
pub(crate) struct Network {
    /// For entries and snapshots.
    bulk: Channels,
    /// For what must not wait behind them: heartbeats and votes.
    urgent: Channels,
    addresses: Addresses,
    acknowledged: Acknowledged,
    archive: Option<Archive>,
    bucket: Option<Bucket>,
}

impl Network {
    pub(crate) fn new(
        channels: &Channels,
        addresses: Addresses,
        archive: Option<Archive>,
        bucket: Option<Bucket>,
    ) -> Self {
        Self {
            archive,
            bucket,
            bulk: channels.clone(),
            urgent: channels.apart(),
            addresses,
            acknowledged: Acknowledged::default(),
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, id: u64, node: &BasicNode) -> Link {
        if let Some(bucket) = self.bucket.as_ref().filter(|_| id == BUCKET) {
            return Link::Bucket(BucketPeer(bucket.clone()));
        }
        self.addresses.0.write().insert(id, node.addr.clone());
        Link::Node(Box::new(Peer {
            id,
            failures: 0,
            acknowledged: self.acknowledged.clone(),
            bulk: self.bulk.clone(),
            urgent: self.urgent.clone(),
            addresses: self.addresses.clone(),
            archive: self.archive.clone(),
            bucket: self.bucket.clone(),
        }))
    }
}

/// Another member.
pub(crate) struct Peer {
    id: u64,
    /// Streams of entries in a row that could not be begun.
    failures: u32,
    /// What it has acknowledged, by whichever way.
    acknowledged: Acknowledged,
    bulk: Channels,
    urgent: Channels,
    addresses: Addresses,
    archive: Option<Archive>,
    /// Is told when it answers.
    bucket: Option<Bucket>,
}

impl Peer {
    /// Takes note of how beginning a stream of entries ended, and waits after a
    /// failure: Raft tries again at once, however often that was in vain.
    async fn pace<T>(&mut self, begun: &Rpc<T>) {
        match begun {
            Ok(_) => {
                if self.failures > 0 {
                    tracing::info!(node = self.id, "takes entries again");
                }
                self.failures = 0;
            }
            Err(error) => {
                if self.failures == 0 {
                    tracing::warn!(node = self.id, %error, "takes no entries");
                }
                let pause = FIRST_PAUSE * (1 << self.failures.min(LAST_STEP));
                self.failures = self.failures.saturating_add(1);
                sleep(pause).await;
            }
        }
    }

    fn client(&self, channels: &Channels) -> Rpc<RaftClient<Channel>> {
        let unreachable = |text: String| RPCError::Unreachable(Unreachable::from_string(text));
        let address = self.addresses.get(self.id);
        let address = address.ok_or_else(|| unreachable("its address is not known".into()))?;
        let channel = channels.node(self.id, &address);
        let channel = channel.map_err(|error| unreachable(error.to_string()))?;
        Ok(RaftClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE))
    }

    /// A request to this member and no other.
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let id = MetadataValue::from(self.id);
        request.metadata_mut().insert(NODE, id);
        request
    }

    /// The same with a deadline.
    fn within<T>(&self, message: T, limit: Duration) -> Request<T> {
        let mut request = self.request(message);
        request.set_timeout(limit);
        request
    }
}

/// The term of the leader that sends this.
fn term(request: &AppendEntriesRequest<TypeConfig>) -> u64 {
    request.vote.leader_id.term
}

fn lost(status: Status) -> RPCError<TypeConfig> {
    refused(Failure::from(status))
}

/// Trying at once again does not help after any of them: an unreachable member
/// is tried after a pause.
fn refused(failure: Failure) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::from_string(failure))
}

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = Stored;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<TypeConfig>> {
        let last = request.entries.last().map(|entry| entry.log_id);
        let last = last.or(request.prev_log_id);
        let lacks = self.acknowledged.lacks(self.id, term(&request));
        let message = convert::append_out(request, lacks).map_err(refused)?;
        let one = self.within(stream::iter([message]), option.hard_ttl());
        let mut client = self.client(&self.bulk)?;
        let mut replies = client.append(one).await.map_err(lost)?.into_inner();
        let reply = replies.message().await.map_err(lost)?;
        let gone = || refused(Failure::Unavailable("the stream ended early".into()));
        let result = convert::appended_in(reply.ok_or_else(gone)?).map_err(refused)?;
        Ok(match result {
            Ok(matched) if matched == last => AppendEntriesResponse::Success,
            Ok(matched) => AppendEntriesResponse::PartialSuccess(matched),
            other => other.into(),
        })
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _: RPCOption,
    ) -> BoxFuture<'s, Rpc<BoxStream<'s, Rpc<StreamAppendResult<TypeConfig>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    {
        let call = async move {
            // A heartbeat is a stream of one; the pipeline's length is not known.
            let heartbeat = input.size_hint() == (1, Some(1));
            // All requests of a stream are of one term.
            let (id, of_term) = (self.id, Arc::new(AtomicU64::new(0)));
            let (known, asked_in) = (self.acknowledged.clone(), Arc::clone(&of_term));
            // What cannot be encoded ends the stream; the follower sees no gap.
            let requests = input
                .map(move |request| {
                    let term = term(&request);
                    asked_in.store(term, Ordering::Relaxed);
                    convert::append_out(request, known.lacks(id, term))
                })
                .take_while(|encoded| std::future::ready(encoded.is_ok()))
                .filter_map(|encoded| std::future::ready(encoded.ok()));
            let requests = self.request(requests);
            let channels = if heartbeat { &self.urgent } else { &self.bulk };
            let begun = match self.client(channels) {
                Ok(mut client) => match timeout(BEGIN, client.append(requests)).await {
                    Ok(begun) => begun.map_err(lost),
                    Err(_) => Err(refused(Failure::Unavailable("no answer in time".into()))),
                },
                Err(error) => Err(error),
            };
            if !heartbeat {
                self.pace(&begun).await;
            }
            let (known, bucket) = (self.acknowledged.clone(), self.bucket.clone());
            let replies = begun?.into_inner().then(move |reply| {
                let term = of_term.load(Ordering::Relaxed);
                let (known, bucket) = (known.clone(), bucket.clone());
                async move {
                    let reply = reply.map_err(lost)?;
                    let appended = convert::appended_in(reply).map_err(refused)?;
                    // Such a member gets no entries, and is no reason for the leader to
                    // end, as Raft would have it. Heartbeats go on: they tell it.
                    if !known.note(id, term, &appended) {
                        if !heartbeat {
                            sleep(LOST_PAUSE).await;
                        }
                        let text = format!("node {id} lacks entries that it had confirmed");
                        return Err(refused(Failure::Failed(text)));
                    }
                    if let (Some(bucket), Ok(matched)) = (bucket, &appended) {
                        bucket.voters().heard(id, matched.map(|id| id.index));
                    }
                    Ok(appended)
                }
            });
            Ok(replies.boxed())
        };
        Box::pin(call)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        let request = self.within(convert::ballot_out(&request), option.hard_ttl());
        let mut client = self.client(&self.urgent)?;
        let reply = client.vote(request).await.map_err(lost)?;
        convert::voted_in(reply.into_inner()).map_err(refused)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        let request = self.within(convert::ballot_out(&request), option.hard_ttl());
        let mut client = self.client(&self.urgent)?;
        let reply = client.pre_vote(request).await.map_err(lost)?;
        convert::voted_in(reply.into_inner()).map_err(refused)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        // As long as it moves: a dead peer is noticed by the connection.
        let _ = option;
        let (term, holds) = (vote.leader_id.term, snapshot.meta.last_log_id);
        tokio::select! {
            sent = self.deliver(&vote, &snapshot) => {
                let sent = sent?;
                self.acknowledged.note(self.id, term, &Ok(holds));
                Ok(sent)
            }
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<TypeConfig>> {
        let message = self.within(convert::transfer_out(&request), option.hard_ttl());
        let mut client = self.client(&self.urgent)?;
        let reply = client.transfer_leader(message).await.map_err(lost)?;
        let refused = reply.into_inner().refused;
        if refused.is_empty() {
            return Ok(Ok(()));
        }
        Err(RPCError::Network(NetworkError::from_string(refused)))
    }
}
