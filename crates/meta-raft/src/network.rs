//! This node's side of talking Raft to the others: pipelined appends over one
//! stream per follower, votes, whole snapshots.

use std::future::Future;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use bytes::Bytes;
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
use postrider_rpc::proto::raft_client::RaftClient;
use postrider_rpc::tonic::transport::Channel;
use postrider_rpc::tonic::{Request, Status};
use postrider_rpc::{Channels, Failure, MAX_MESSAGE, proto};

use crate::convert;
use crate::raft::{TypeConfig, Vote};
use crate::snapshot::Stored;

type SnapshotOf =
    Snapshot<openraft::type_config::alias::CommittedLeaderIdOf<TypeConfig>, u64, BasicNode, Stored>;
type Rpc<T> = Result<T, RPCError<TypeConfig>>;

/// Bytes of a part of a snapshot.
const PART: usize = 1 << 20;

/// Makes clients of other members.
pub(crate) struct Network {
    channels: Channels,
}

impl Network {
    pub(crate) fn new(channels: Channels) -> Self {
        Self { channels }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, _: u64, node: &BasicNode) -> Peer {
        let client = self.channels.get(&node.addr).map(|channel| {
            RaftClient::new(channel)
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE)
        });
        Peer {
            client: client.map_err(|error| error.to_string()),
        }
    }
}

/// Another member.
pub(crate) struct Peer {
    client: Result<RaftClient<Channel>, String>,
}

impl Peer {
    fn client(&self) -> Rpc<RaftClient<Channel>> {
        let client = self.client.clone();
        client.map_err(|text| RPCError::Unreachable(Unreachable::from_string(text)))
    }
}

/// A request with its deadline.
fn within<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

fn lost(status: Status) -> RPCError<TypeConfig> {
    refused(Failure::from(status))
}

fn refused(failure: Failure) -> RPCError<TypeConfig> {
    match failure {
        Failure::Unavailable(text) => RPCError::Unreachable(Unreachable::from_string(text)),
        other => RPCError::Network(NetworkError::from_string(other)),
    }
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
        let message = convert::append_out(request).map_err(refused)?;
        let one = within(stream::iter([message]), option.hard_ttl());
        let mut replies = self.client()?.append(one).await.map_err(lost)?.into_inner();
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
            // What cannot be encoded ends the stream; the follower sees no gap.
            let requests = input
                .map(convert::append_out)
                .take_while(|encoded| std::future::ready(encoded.is_ok()))
                .filter_map(|encoded| std::future::ready(encoded.ok()));
            let replies = self.client()?.append(requests).await.map_err(lost)?;
            let replies = replies.into_inner().map(|reply| {
                let reply = reply.map_err(lost)?;
                convert::appended_in(reply).map_err(refused)
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
        let request = within(convert::ballot_out(&request), option.hard_ttl());
        let reply = self.client()?.vote(request).await.map_err(lost)?;
        convert::voted_in(reply.into_inner()).map_err(refused)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        let request = within(convert::ballot_out(&request), option.hard_ttl());
        let reply = self.client()?.pre_vote(request).await.map_err(lost)?;
        convert::voted_in(reply.into_inner()).map_err(refused)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let head = proto::SnapshotPart {
            head: Some(proto::SnapshotHead {
                vote: Some(convert::vote_out(&vote)),
                length: snapshot.snapshot.bytes(),
                object: String::new(),
            }),
            data: Bytes::new(),
        };
        let parts = stream::iter([head]).chain(parts(snapshot.snapshot));
        let mut client = self.client()?;
        // As long as it moves: a dead peer is noticed by the connection.
        let call = client.snapshot(parts);
        let reply = tokio::select! {
            reply = call => reply.map_err(lost)?,
            closed = cancel => return Err(StreamingError::Closed(closed)),
        };
        let _ = option;
        let vote = convert::vote_in(reply.into_inner().vote).map_err(refused)?;
        Ok(SnapshotResponse::new(vote))
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<TypeConfig>> {
        let message = within(convert::transfer_out(&request), option.hard_ttl());
        let reply = self
            .client()?
            .transfer_leader(message)
            .await
            .map_err(lost)?;
        let refused = reply.into_inner().refused;
        if refused.is_empty() {
            return Ok(Ok(()));
        }
        Err(RPCError::Network(NetworkError::from_string(refused)))
    }
}

/// The bytes of a snapshot, part by part.
fn parts(stored: Stored) -> impl Stream<Item = proto::SnapshotPart> + Send {
    stream::unfold((stored, 0), |(stored, offset)| async move {
        let length = (stored.bytes() - offset).min(PART as u64) as usize;
        if length == 0 {
            return None;
        }
        let file = std::sync::Arc::clone(stored.file());
        let read = crate::blocking::run(move || {
            let mut data = vec![0; length];
            file.read_exact_at(&mut data, offset).map(|()| data)
        });
        // A file that cannot be read ends the stream early; the receiver notices.
        let data = read.await.ok()?.ok()?;
        let part = proto::SnapshotPart {
            head: None,
            data: data.into(),
        };
        Some((part, (stored, offset + length as u64)))
    })
}
