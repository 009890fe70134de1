//! Where Raft's messages to a voter go: over the network to a node, or to the vote
//! in the bucket. Only passes on.

use std::future::Future;

use futures::Stream;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openraft::RaftNetworkV2;
use openraft::errors::{ReplicationClosed, StreamingError};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};

use crate::bucket::BucketPeer;
use crate::network::{Peer, Rpc, SnapshotOf};
use crate::raft::{TypeConfig, Vote};
use crate::snapshot::Stored;

/// The way to a voter.
pub(crate) enum Link {
    /// A node.
    Node(Box<Peer>),
    /// The bucket.
    Bucket(BucketPeer),
}

impl RaftNetworkV2<TypeConfig> for Link {
    type SnapshotData = Stored;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<TypeConfig>> {
        match self {
            Self::Node(peer) => peer.append_entries(request, option).await,
            Self::Bucket(peer) => peer.append_entries(request, option).await,
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Rpc<BoxStream<'s, Rpc<StreamAppendResult<TypeConfig>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    {
        match self {
            Self::Node(peer) => peer.stream_append(input, option),
            Self::Bucket(peer) => peer.stream_append(input, option),
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        match self {
            Self::Node(peer) => peer.vote(request, option).await,
            Self::Bucket(peer) => peer.vote(request, option).await,
        }
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        match self {
            Self::Node(peer) => peer.pre_vote(request, option).await,
            Self::Bucket(peer) => peer.pre_vote(request, option).await,
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        match self {
            Self::Node(peer) => peer.full_snapshot(vote, snapshot, cancel, option).await,
            Self::Bucket(peer) => peer.full_snapshot(vote, snapshot, cancel, option).await,
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<TypeConfig>> {
        match self {
            Self::Node(peer) => peer.transfer_leader(request, option).await,
            Self::Bucket(peer) => peer.transfer_leader(request, option).await,
        }
    }
}
