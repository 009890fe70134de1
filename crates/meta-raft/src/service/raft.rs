//! The service of the members of the Raft group to each other. Does only what is
//! meant for this node: what is sent to a node that was reached at this address
//! before must not count as answered by it.

use std::io::Write;
use std::sync::{Arc, Weak};

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use openraft::storage::Snapshot;
use postrider_rpc::proto::raft_server::Raft;
use postrider_rpc::tonic::{Request, Response, Status, Streaming};
use postrider_rpc::{Failure, proto};

use super::{Reply, present, stopped};
use crate::blocking;
use crate::convert;
use crate::leader::Core;
use crate::network::NODE;
use crate::node::Node;
use crate::snapshot::Stored;

pub(super) struct RaftService {
    pub(super) node: Weak<Node>,
}

impl RaftService {
    /// The node, if the request is meant for it.
    fn meant<T>(&self, request: &Request<T>) -> Result<Arc<Node>, Status> {
        let node = present(&self.node)?;
        let me = node.core().node_id;
        let meant = request.metadata().get(NODE);
        let meant = meant.and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
        if meant == Some(me) {
            return Ok(node);
        }
        let meant = meant.map_or_else(|| "no node".to_owned(), |id| format!("node {id}"));
        Err(Failure::Failed(format!(
            "this is node {me}; the request is meant for {meant}"
        ))
        .into())
    }
}

#[postrider_rpc::tonic::async_trait]
impl Raft for RaftService {
    type AppendStream = BoxStream<'static, Result<proto::AppendReply, Status>>;

    async fn append(
        &self,
        request: Request<Streaming<proto::AppendRequest>>,
    ) -> Reply<Self::AppendStream> {
        let node = self.meant(&request)?;
        // What is broken or unreadable ends the stream; the leader begins anew.
        let lack = Arc::clone(&node.core().lack);
        let requests = request
            .into_inner()
            .map(move |request| {
                let lacks = request.as_ref().is_ok_and(|request| request.lacks);
                let request = convert::append_in(request.map_err(Failure::from)?)?;
                lack.hear(request.vote.leader_id.term, lacks);
                Ok::<_, Failure>(request)
            })
            .take_while(|request| std::future::ready(request.is_ok()))
            .filter_map(|request| std::future::ready(request.ok()));
        let replies = node.core().raft.stream_append(requests.boxed());
        let replies = replies.take_until(node.ended().boxed());
        let replies = replies.map(|reply| reply.map(convert::appended_out).map_err(stopped));
        Ok(Response::new(replies.boxed()))
    }

    async fn vote(&self, request: Request<proto::VoteRequest>) -> Reply<proto::VoteReply> {
        let node = self.meant(&request)?;
        let ballot = convert::ballot_in(request.into_inner())?;
        let core = node.core();
        let reply = core.raft.vote(ballot.clone()).await.map_err(stopped)?;
        core.compare(&ballot, &reply).await;
        Ok(Response::new(convert::voted_out(&reply)))
    }

    async fn pre_vote(&self, request: Request<proto::VoteRequest>) -> Reply<proto::VoteReply> {
        let node = self.meant(&request)?;
        let ballot = convert::ballot_in(request.into_inner())?;
        let core = node.core();
        let reply = core.raft.pre_vote(ballot.clone()).await.map_err(stopped)?;
        core.compare(&ballot, &reply).await;
        Ok(Response::new(convert::voted_out(&reply)))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<proto::SnapshotPart>>,
    ) -> Reply<proto::SnapshotReply> {
        let node = self.meant(&request)?;
        let mut parts = request.into_inner();
        let head = parts.message().await?.and_then(|part| part.head);
        let head = head.ok_or_else(|| Status::invalid_argument("a snapshot without a head"))?;
        let vote = convert::vote_in(head.vote)?;
        let core = node.core();
        // Goes with this call, or with Raft once that has it: Raft may be at work on
        // it when the caller has long gone.
        let draft = core.shared.snapshots.draft();
        let received = if head.object.is_empty() {
            receive(&mut parts, draft.path(), head.length).await
        } else {
            fetch(core, &head.object, draft.path()).await
        };
        let stored = received.map_err(|error| Failure::Unavailable(error.to_string()))?;
        let snapshot = Snapshot {
            meta: stored.meta(),
            snapshot: stored.of(draft),
        };
        let installed = core.raft.install_full_snapshot(vote, snapshot).await;
        let reply = installed.map_err(stopped)?;
        Ok(Response::new(proto::SnapshotReply {
            vote: Some(convert::vote_out(&reply.vote)),
        }))
    }

    async fn transfer_leader(
        &self,
        request: Request<proto::TransferLeaderRequest>,
    ) -> Reply<proto::TransferLeaderReply> {
        let node = self.meant(&request)?;
        let request = convert::transfer_in(request.into_inner())?;
        let reply = node.core().raft.handle_transfer_leader(request).await;
        let refused = match reply.map_err(stopped)? {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        Ok(Response::new(proto::TransferLeaderReply { refused }))
    }
}

/// Takes a snapshot from the archive into a file of its own.
async fn fetch(core: &Core, object: &str, path: &std::path::Path) -> crate::Result<Stored> {
    let archive = core.archive.as_ref();
    let none = || crate::Error::Archive("this node has no object store".into());
    let archive = archive.ok_or_else(none)?;
    let found = archive.find(object).await?;
    archive.fetch(&found, path).await
}

/// Takes a snapshot into a file of its own.
async fn receive(
    parts: &mut Streaming<proto::SnapshotPart>,
    path: &std::path::Path,
    length: u64,
) -> crate::Result<Stored> {
    let failed = |error| crate::Error::io("cannot receive a snapshot into", path)(error);
    let mut file = Some(std::fs::File::create(path).map_err(failed)?);
    let mut left = length;
    loop {
        let part = parts.message().await;
        let Some(part) = part.map_err(std::io::Error::other).map_err(failed)? else {
            break;
        };
        let size = part.data.len() as u64;
        left = left
            .checked_sub(size)
            .ok_or_else(|| failed(std::io::Error::other("more bytes than announced")))?;
        let mut open = file.take().expect("it is put back below");
        let written = blocking::run(move || open.write_all(&part.data).map(|()| open)).await;
        let written = written.map_err(std::io::Error::other).map_err(failed)?;
        file = Some(written.map_err(failed)?);
    }
    if left > 0 {
        return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Stored::open(path)
}
