//! The service of the membership: to members, to nodes that want to be one, and
//! to frontends, which find the voters by it.

use std::sync::{Arc, Weak};

use postrider_rpc::proto::membership_server::Membership;
use postrider_rpc::tonic::{Request, Response};
use postrider_rpc::{Caller, FORWARDED, Failure, proto};

use super::{Reply, present};
use crate::leader::Leader;
use crate::node::Node;

pub(super) struct MembershipService {
    pub(super) node: Weak<Node>,
}

impl MembershipService {
    /// The node. What another member has passed on is done here or nowhere.
    fn asked<T>(&self, request: &Request<T>) -> Result<Arc<Node>, Failure> {
        let node = present(&self.node).map_err(Failure::from)?;
        let passed_on = request.metadata().contains_key(FORWARDED);
        let core = node.core();
        if passed_on && !matches!(*core.leader.borrow(), Leader::Me { .. }) {
            return Err(Failure::NotLeader(core.leader_address()));
        }
        Ok(node)
    }
}

#[postrider_rpc::tonic::async_trait]
impl Membership for MembershipService {
    async fn members(&self, _: Request<proto::MembersRequest>) -> Reply<proto::MembersReply> {
        let node = present(&self.node)?;
        let known = node.members();
        let members = known.members.into_iter().map(|member| proto::Member {
            node: member.node,
            address: member.address,
            voter: member.voter,
            matched: member.matched.unwrap_or(0),
            silent_ms: member.silent_ms,
            witness: member.witness,
        });
        Ok(Response::new(proto::MembersReply {
            members: members.collect(),
            leader: known.leader.unwrap_or(0),
            term: known.term,
            short_of_room: node.core().disk.is_low(),
            clock: node.core().clock.now().0,
        }))
    }

    async fn admit(&self, request: Request<proto::AdmitRequest>) -> Reply<proto::AdmitReply> {
        let node = self.asked(&request)?;
        let passed_on = request.metadata().contains_key(FORWARDED);
        let caller = request.extensions().get::<Caller>().map(|caller| caller.0);
        let proto::AdmitRequest { node: id, address } = request.into_inner();
        if !passed_on && caller.is_some_and(|caller| caller != id) {
            let text = format!("a node asks to be admitted itself: this is not node {id}");
            return Err(Failure::Failed(text).into());
        }
        node.admit(id, &address).await?;
        Ok(Response::new(proto::AdmitReply {}))
    }

    async fn expel(&self, request: Request<proto::ExpelRequest>) -> Reply<proto::ExpelReply> {
        let node = self.asked(&request)?;
        node.expel(request.into_inner().node).await?;
        Ok(Response::new(proto::ExpelReply {}))
    }

    async fn move_leader(
        &self,
        request: Request<proto::MoveLeaderRequest>,
    ) -> Reply<proto::MoveLeaderReply> {
        let node = self.asked(&request)?;
        let to = Some(request.into_inner().to).filter(|id| *id != 0);
        let leader = node.move_leader(to).await?;
        Ok(Response::new(proto::MoveLeaderReply { leader }))
    }
}
