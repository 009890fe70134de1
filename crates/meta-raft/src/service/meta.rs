//! The service of the metadata to frontends and other members. Commands are
//! executed by the leader alone; queries by any member.

use std::sync::Weak;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use postrider_meta::{Meta as _, ReadAt, Token};
use postrider_rpc::proto::meta_server::Meta;
use postrider_rpc::tonic::{Request, Response, Status};
use postrider_rpc::{Failure, proto};
use postrider_types::{AccountId, CommandId};

use super::{Reply, present};
use crate::node::Node;
use crate::payload;

pub(super) struct MetaService {
    pub(super) node: Weak<Node>,
}

impl MetaService {
    /// Refuses where another node leads.
    async fn leading(&self) -> Result<(), Status> {
        let node = present(&self.node)?;
        let core = node.core();
        core.wait_for_leader().await;
        match core.raft.as_leader() {
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::NotLeader(core.leader_address()).into()),
        }
    }
}

#[postrider_rpc::tonic::async_trait]
impl Meta for MetaService {
    type WatchStream = BoxStream<'static, Result<proto::Hint, Status>>;

    async fn execute(&self, request: Request<proto::ExecuteRequest>) -> Reply<proto::ExecuteReply> {
        self.leading().await?;
        let request = request.into_inner();
        let id: [u8; 16] = request
            .id
            .as_ref()
            .try_into()
            .map_err(|_| Status::invalid_argument("a command id has 16 bytes"))?;
        let command = payload::decode(&request.command)?;
        let executed = present(&self.node)?
            .execute_here(CommandId::from_bytes(id), command)
            .await
            .map_err(payload::failure)?;
        Ok(Response::new(proto::ExecuteReply {
            verdict: payload::encode(&executed.verdict)?,
            token: executed.token.0,
        }))
    }

    async fn query(&self, request: Request<proto::QueryRequest>) -> Reply<proto::QueryReply> {
        let request = request.into_inner();
        let query = payload::decode(&request.query)?;
        let at = match request.at_least {
            Some(index) => ReadAt::AtLeast(Token(index)),
            None => ReadAt::Latest,
        };
        let answered = present(&self.node)?.query(query, at).await;
        let (answer, token) = answered.map_err(payload::failure)?;
        Ok(Response::new(proto::QueryReply {
            answer: payload::encode(&answer)?,
            token: token.0,
        }))
    }

    async fn watch(&self, request: Request<proto::WatchRequest>) -> Reply<Self::WatchStream> {
        let node = present(&self.node)?;
        let hints = node.watch(AccountId(request.into_inner().account));
        let hints = hints.take_until(node.ended().boxed());
        let hints = hints.map(|()| Ok(proto::Hint {}));
        Ok(Response::new(stream::StreamExt::boxed(hints)))
    }

    async fn read_index(
        &self,
        _: Request<proto::ReadIndexRequest>,
    ) -> Reply<proto::ReadIndexReply> {
        self.leading().await?;
        let index = present(&self.node)?
            .own_read_index()
            .await
            .map_err(payload::failure)?;
        Ok(Response::new(proto::ReadIndexReply { index }))
    }
}
