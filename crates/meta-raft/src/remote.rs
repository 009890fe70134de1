//! The metadata store of another node, as [`Meta`]: what a frontend without a
//! replica holds. Follows the leader, tries again elsewhere under the same id.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use postrider_meta::{
    Answer, Changes, Command, Error as MetaError, Executed, Meta, Query, ReadAt, Token,
};
use postrider_rpc::proto::meta_client::MetaClient;
use postrider_rpc::tonic::Request;
use postrider_rpc::tonic::transport::Channel;
use postrider_rpc::{Channels, Failure, MAX_MESSAGE, proto};
use postrider_types::{AccountId, CommandId};
use tokio::time::{Instant, sleep};

use crate::payload;

/// Between two rounds over all nodes.
const PAUSE: Duration = Duration::from_millis(100);

/// A client of the metadata cluster.
#[derive(Clone)]
pub struct Remote {
    inner: Arc<Inner>,
}

struct Inner {
    channels: Channels,
    addresses: Vec<String>,
    /// Where the last call went well, or where the leader is said to be.
    favourite: Mutex<String>,
    timeout: Duration,
}

impl Remote {
    /// A client of the nodes at `addresses` (HOST:PORT, at least one). A call
    /// may take `timeout`, all tries together.
    pub fn new(
        channels: Channels,
        addresses: impl IntoIterator<Item = String>,
        timeout: Duration,
    ) -> Self {
        let addresses: Vec<String> = addresses.into_iter().collect();
        Self {
            inner: Arc::new(Inner {
                channels,
                favourite: Mutex::new(addresses.first().cloned().unwrap_or_default()),
                addresses,
                timeout,
            }),
        }
    }

    fn client(&self, address: &str) -> Result<MetaClient<Channel>, Failure> {
        let channel = self.inner.channels.get(address);
        let channel = channel.map_err(|error| Failure::Failed(error.to_string()))?;
        Ok(MetaClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE))
    }

    /// Calls one node after another until one answers or the time is up.
    async fn call<T, F>(
        &self,
        ask: impl Fn(MetaClient<Channel>, Duration) -> F + Send + Sync,
    ) -> Result<T, MetaError>
    where
        F: Future<Output = Result<T, Failure>> + Send,
    {
        let deadline = Instant::now() + self.inner.timeout;
        let mut tries = 0;
        loop {
            let address = self.inner.favourite.lock().clone();
            let left = deadline.saturating_duration_since(Instant::now());
            let failure = match self.client(&address) {
                Ok(client) => match ask(client, left).await {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            tries += 1;
            let next = match &failure {
                Failure::Failed(_) | Failure::Unsupported(_) => {
                    return Err(payload::error(failure));
                }
                Failure::NotLeader(Some(leader)) if *leader != address => leader.clone(),
                _ => self.after(&address),
            };
            let pause = match &failure {
                Failure::NotLeader(Some(_)) if tries == 1 => Duration::ZERO,
                _ => PAUSE,
            };
            if Instant::now() + pause >= deadline {
                return Err(payload::error(failure));
            }
            sleep(pause).await;
            *self.inner.favourite.lock() = next;
        }
    }

    /// The address to try after `address`.
    fn after(&self, address: &str) -> String {
        let all = &self.inner.addresses;
        let at = all.iter().position(|other| other == address);
        let next = at.map_or(0, |at| (at + 1) % all.len().max(1));
        all.get(next).cloned().unwrap_or_default()
    }

    /// The leader's read index.
    pub(crate) async fn read_index(&self) -> Result<u64, MetaError> {
        self.call(|mut client, left| async move {
            let mut request = Request::new(proto::ReadIndexRequest {});
            request.set_timeout(left);
            Ok(client.read_index(request).await?.into_inner().index)
        })
        .await
    }
}

#[async_trait]
impl Meta for Remote {
    async fn execute(&self, id: CommandId, command: Command) -> Result<Executed, MetaError> {
        let command = payload::encode(&command).map_err(payload::error)?;
        let id = bytes::Bytes::copy_from_slice(id.as_bytes());
        self.call(|mut client, left| {
            let mut request = Request::new(proto::ExecuteRequest {
                id: id.clone(),
                command: command.clone(),
            });
            request.set_timeout(left);
            async move {
                let reply = client.execute(request).await?.into_inner();
                Ok(Executed {
                    verdict: payload::decode(&reply.verdict)?,
                    token: Token(reply.token),
                })
            }
        })
        .await
    }

    async fn query(&self, query: Query, at: ReadAt) -> Result<(Answer, Token), MetaError> {
        let query = payload::encode(&query).map_err(payload::error)?;
        let at_least = match at {
            ReadAt::Latest => None,
            ReadAt::AtLeast(Token(index)) => Some(index),
        };
        self.call(|mut client, left| {
            let mut request = Request::new(proto::QueryRequest {
                query: query.clone(),
                at_least,
            });
            request.set_timeout(left);
            async move {
                let reply = client.query(request).await?.into_inner();
                Ok((payload::decode(&reply.answer)?, Token(reply.token)))
            }
        })
        .await
    }

    /// Hints from one node; when it is lost, from another. Each begins with a
    /// hint of its own: until it was there, some may have been missed.
    fn watch(&self, account: AccountId) -> Changes {
        let start = (
            self.clone(),
            None::<postrider_rpc::tonic::Streaming<proto::Hint>>,
            true,
        );
        stream::unfold(start, move |(remote, mut hints, mut missed)| async move {
            loop {
                if let Some(stream) = &mut hints {
                    if missed {
                        return Some(((), (remote, hints, false)));
                    }
                    match stream.message().await {
                        Ok(Some(_)) => return Some(((), (remote, hints, false))),
                        _ => {
                            hints = None;
                            missed = true;
                        }
                    }
                }
                let begun = remote.call(|mut client, _| async move {
                    let request = proto::WatchRequest { account: account.0 };
                    Ok(client.watch(request).await?.into_inner())
                });
                match begun.await {
                    Ok(stream) => hints = Some(stream),
                    Err(error) => {
                        tracing::debug!(%error, "no hints");
                        sleep(PAUSE).await;
                    }
                }
            }
        })
        .boxed()
    }
}
