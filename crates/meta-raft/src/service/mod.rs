//! What this node answers to other nodes over gRPC. One file per service.

mod membership;
mod meta;
mod raft;

use std::sync::{Arc, Weak};

use postrider_rpc::proto::membership_server::MembershipServer;
use postrider_rpc::proto::meta_server::MetaServer;
use postrider_rpc::proto::raft_server::RaftServer;
use postrider_rpc::tonic::service::Routes;
use postrider_rpc::tonic::{Response, Status};
use postrider_rpc::{Failure, MAX_MESSAGE};

use crate::node::Node;
use membership::MembershipService;
use meta::MetaService;
use raft::RaftService;

type Reply<T> = Result<Response<T>, Status>;

/// The services of a node.
pub(crate) fn routes(node: &Arc<Node>) -> Routes {
    let raft = RaftServer::new(RaftService {
        node: Arc::downgrade(node),
    });
    let meta = MetaServer::new(MetaService {
        node: Arc::downgrade(node),
    });
    let membership = MembershipServer::new(MembershipService {
        node: Arc::downgrade(node),
    });
    Routes::new(
        raft.max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE),
    )
    .add_service(
        meta.max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE),
    )
    .add_service(membership)
}

/// The node, unless it has ended: connections do not keep it alive.
fn present(node: &Weak<Node>) -> Result<Arc<Node>, Status> {
    let ended = || Failure::Unavailable("the metadata node is shutting down".into());
    Ok(node.upgrade().ok_or_else(ended)?)
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Failure::Unavailable(error.to_string()).into()
}
