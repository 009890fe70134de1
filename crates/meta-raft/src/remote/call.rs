//! One call to one metadata node, over the wire and back. Tries once; whom to
//! ask, and whether again, is the caller's business.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use postrider_meta::{Answer, Error as MetaError, Executed, ReadAt, Token};
use postrider_rpc::proto::membership_client::MembershipClient;
use postrider_rpc::proto::meta_client::MetaClient;
use postrider_rpc::tonic::transport::Channel;
use postrider_rpc::tonic::{Request, Status};
use postrider_rpc::{Channels, Failure, MAX_MESSAGE, proto};
use postrider_types::CommandId;

use crate::payload;

/// Why a call has no answer.
#[derive(Debug)]
pub(crate) struct Missed {
    /// As the error table has it.
    pub(crate) failure: Failure,
    /// The node itself said so; else the connection to it failed.
    pub(crate) answered: bool,
}

impl Missed {
    /// Trying again, here or elsewhere, may help.
    pub(crate) fn passing(&self) -> bool {
        matches!(
            self.failure,
            Failure::Unavailable(_) | Failure::NotLeader(_)
        )
    }
}

impl From<Missed> for MetaError {
    fn from(missed: Missed) -> Self {
        payload::error(missed.failure)
    }
}

impl From<Failure> for Missed {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            answered: true,
        }
    }
}

impl From<Status> for Missed {
    fn from(status: Status) -> Self {
        // A status from the other side has no source: it came as text. One with
        // a source was made here out of a broken connection or a passed limit,
        // whatever code that was given: HTTP/2 resets become "internal".
        let Some(mut source) = status.source() else {
            return Failure::from(status).into();
        };
        while let Some(deeper) = source.source() {
            source = deeper;
        }
        Self {
            failure: Failure::Unavailable(source.to_string()),
            answered: false,
        }
    }
}

/// A metadata node at an address. Cheap to make: connections are shared.
#[derive(Clone)]
pub(crate) struct Voter {
    channel: Channel,
}

impl Voter {
    /// The node at `address` (HOST:PORT).
    pub(crate) fn at(channels: &Channels, address: &str) -> Result<Self, Missed> {
        let channel = channels.get(address);
        let channel = channel.map_err(|error| Missed {
            failure: Failure::Unavailable(error.to_string()),
            answered: false,
        })?;
        Ok(Self { channel })
    }

    pub(crate) fn meta(&self) -> MetaClient<Channel> {
        MetaClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    pub(crate) fn membership(&self) -> MembershipClient<Channel> {
        MembershipClient::new(self.channel.clone())
    }

    /// Executes an encoded command, which the node passes on if `forward` and
    /// another one leads.
    pub(crate) async fn execute(
        &self,
        id: CommandId,
        command: Bytes,
        forward: bool,
        limit: Duration,
    ) -> Result<Executed, Missed> {
        let request = proto::ExecuteRequest {
            id: Bytes::copy_from_slice(id.as_bytes()),
            command,
            forward,
        };
        let reply = self.meta().execute(timed(request, limit)).await?;
        let reply = reply.into_inner();
        Ok(Executed {
            verdict: payload::decode(&reply.verdict)?,
            token: Token(reply.token),
        })
    }

    /// Answers an encoded query.
    pub(crate) async fn query(
        &self,
        query: Bytes,
        at: ReadAt,
        limit: Duration,
    ) -> Result<(Answer, Token), Missed> {
        let at_least = match at {
            ReadAt::Latest => None,
            ReadAt::AtLeast(Token(index)) => Some(index),
        };
        let request = proto::QueryRequest { query, at_least };
        let reply = self.meta().query(timed(request, limit)).await?;
        let reply = reply.into_inner();
        Ok((payload::decode(&reply.answer)?, Token(reply.token)))
    }

    /// Who is a member, as far as the node knows.
    pub(crate) async fn members(&self, limit: Duration) -> Result<proto::MembersReply, Missed> {
        let request = timed(proto::MembersRequest {}, limit);
        Ok(self.membership().members(request).await?.into_inner())
    }
}

/// A request that the other side, too, gives up after `limit`.
pub(crate) fn timed<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}
