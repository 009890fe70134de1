//! The service of the metadata to frontends and other members. Commands are
//! executed by the leader alone; queries by any member.

use std::sync::Weak;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use postrider_meta::{Group, Meta as _, ReadAt, Token};
use postrider_rpc::proto::meta_server::Meta;
use postrider_rpc::tonic::{Request, Response, Status, Streaming};
use postrider_rpc::{Failure, proto};
use postrider_types::{AccountId, CommandId};
use tokio::time::timeout;

use super::{Reply, present};
use crate::node::Node;
use crate::payload;

/// The most accounts that one stream of hints watches.
const WATCHED: usize = 1 << 20;
/// A caller that wants the leader is told that there is none after this.
const LEADERLESS: Duration = Duration::from_millis(500);

pub(super) struct MetaService {
    pub(super) node: Weak<Node>,
}

impl MetaService {
    /// Refuses where another node leads.
    async fn leading(&self) -> Result<(), Status> {
        let node = present(&self.node)?;
        let core = node.core();
        // Late or not, the next line tells.
        let _ = timeout(LEADERLESS, core.wait_for_leader()).await;
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
        let proto::ExecuteRequest {
            id,
            command,
            forward,
        } = request.into_inner();
        let id: [u8; 16] = id
            .as_ref()
            .try_into()
            .map_err(|_| Status::invalid_argument("a command id has 16 bytes"))?;
        let id = CommandId::from_bytes(id);
        // What waits for room waits as it came, and once: not decoded as well.
        let node = present(&self.node)?;
        let room = node.room(command.len()).await.map_err(payload::failure)?;
        if !forward {
            self.leading().await?;
        }
        let encoded = command;
        let command = payload::decode(&encoded)?;
        drop(encoded);
        let executed = match forward {
            true => node.execute_anywhere(id, command, Some(room)).await,
            false => node.execute_here(id, command, room).await,
        };
        let executed = executed.map_err(payload::failure)?;
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

    /// Hints wait in a set: a slow reader is told once of what changed often.
    async fn watch(
        &self,
        request: Request<Streaming<proto::WatchRequest>>,
    ) -> Reply<Self::WatchStream> {
        let node = present(&self.node)?;
        let group = node.core().shared.watchers.group();
        let state = Some((request.into_inner(), group));
        let hints = stream::unfold(state, |state| async move {
            let (mut requests, mut group) = state?;
            loop {
                tokio::select! {
                    request = requests.message() => match request {
                        Ok(Some(request)) => if let Err(status) = change(&mut group, request) {
                            return Some((Err(status), None));
                        },
                        // The caller has gone.
                        Ok(None) | Err(_) => return None,
                    },
                    Some(accounts) = group.next() => {
                        let accounts = accounts.into_iter().map(|account| account.0).collect();
                        return Some((Ok(proto::Hint { accounts }), Some((requests, group))));
                    }
                }
            }
        });
        let hints = hints.take_until(node.ended().boxed());
        Ok(Response::new(hints.boxed()))
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

/// Watches other accounts. What is new is hinted at once: the caller learns that
/// it is watched, and looks at what it may have missed.
fn change(group: &mut Group, request: proto::WatchRequest) -> Result<(), Status> {
    for account in request.drop {
        group.remove(AccountId(account));
    }
    if group.len() + request.add.len() > WATCHED {
        let text = format!("one stream watches at most {WATCHED} accounts");
        return Err(Status::resource_exhausted(text));
    }
    for account in &request.add {
        group.add(AccountId(*account));
    }
    group.hint(request.add.into_iter().map(AccountId));
    Ok(())
}
