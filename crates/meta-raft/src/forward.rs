//! Brings what only the leader does to the leader: here, or over gRPC to the
//! node that leads. Tried again, over elections, until it is done or the time
//! is up; so the caller sees a pause and not an error.

use std::time::Duration;

use postrider_meta::{Command, Error as MetaError, Executed, Token};
use postrider_rpc::proto::meta_client::MetaClient;
use postrider_rpc::tonic::Request;
use postrider_rpc::tonic::transport::Channel;
use postrider_rpc::{Failure, MAX_MESSAGE, proto};
use postrider_types::CommandId;
use std::sync::OnceLock;
use tokio::time::Instant;

use crate::leader::{Core, Leader, Pauses};
use crate::payload;

/// A try with another node may take this long. Usually it ends sooner: as soon
/// as somebody else leads.
const TRY: Duration = Duration::from_secs(3);

/// Does something at the leader: `here` if this node leads, else `there`, which
/// gets the id of the node that does, the connection to it and the time for the
/// try. What ends with [`Failure::Unavailable`] or [`Failure::NotLeader`] is tried
/// again until `deadline`, and so is what was not answered when another node leads:
/// it must be safe to do twice.
pub(crate) async fn at_leader<T, H, A>(
    core: &Core,
    deadline: Instant,
    longest: Duration,
    here: impl Fn() -> H,
    there: impl Fn(u64, Channel, Duration) -> A,
) -> Result<T, Failure>
where
    H: Future<Output = Result<T, Failure>>,
    A: Future<Output = Result<T, Failure>>,
{
    let mut pauses = Pauses::new(core, deadline);
    let none = "no leader was elected in time: a majority of the nodes with metadata must run";
    let mut last = Failure::Unavailable(none.into());
    loop {
        core.check_open().map_err(payload::failure)?;
        let tried = match pauses.leader() {
            Leader::Me { .. } => Some(here().await),
            Leader::Other { node, address, .. } => {
                let channel = core.channels.node(node, &address);
                let channel = channel.map_err(|error| Failure::Failed(error.to_string()))?;
                let left = deadline.saturating_duration_since(Instant::now());
                tokio::select! {
                    biased;
                    answer = there(node, channel, left.min(longest)) => {
                        Some(answer.map_err(|failure| naming(&address, failure)))
                    }
                    () = pauses.changed() => None,
                }
            }
            Leader::Unknown => Some(Err(last.clone())),
        };
        match tried {
            Some(Err(failure @ (Failure::Unavailable(_) | Failure::NotLeader(_)))) => {
                last = failure;
                if !pauses.pause().await {
                    return Err(last);
                }
            }
            Some(done) => return done,
            None if Instant::now() >= deadline => return Err(last),
            None => {}
        }
    }
}

/// Says which node was asked: of a broken connection only the cause is told.
fn naming(leader: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Unavailable(text) => {
            Failure::Unavailable(format!("the leader at {leader}: {text}"))
        }
        other => other,
    }
}

/// Executes a command at the leader: `here`, a queue, or another node.
pub(crate) async fn execute<H>(
    core: &Core,
    deadline: Instant,
    id: CommandId,
    command: &Command,
    here: impl Fn() -> H,
) -> Result<Executed, MetaError>
where
    H: Future<Output = Result<Executed, MetaError>>,
{
    let encoded = OnceLock::new();
    let bytes = bytes::Bytes::copy_from_slice(id.as_bytes());
    let here = || {
        let executed = here();
        async move { executed.await.map_err(payload::failure) }
    };
    let there = |_, channel: Channel, limit| {
        let command = encoded.get_or_init(|| payload::encode(command)).clone();
        let id = bytes.clone();
        async move {
            let request = proto::ExecuteRequest {
                id,
                command: command?,
                forward: false,
            };
            let reply = client(channel).execute(within(request, limit)).await?;
            let reply = reply.into_inner();
            Ok(Executed {
                verdict: payload::decode(&reply.verdict)?,
                token: Token(reply.token),
            })
        }
    };
    let done = at_leader(core, deadline, TRY, here, there).await;
    done.map_err(payload::error)
}

/// The leader's read index: `here`, or from another node.
pub(crate) async fn read_index<H>(
    core: &Core,
    deadline: Instant,
    here: impl Fn() -> H,
) -> Result<u64, MetaError>
where
    H: Future<Output = Result<u64, MetaError>>,
{
    let here = || {
        let index = here();
        async move { index.await.map_err(payload::failure) }
    };
    let there = |_, channel: Channel, limit| async move {
        let request = within(proto::ReadIndexRequest {}, limit);
        Ok(client(channel)
            .read_index(request)
            .await?
            .into_inner()
            .index)
    };
    let done = at_leader(core, deadline, TRY, here, there).await;
    done.map_err(payload::error)
}

fn client(channel: Channel) -> MetaClient<Channel> {
    MetaClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE)
}

/// A request with its deadline.
pub(crate) fn within<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}
