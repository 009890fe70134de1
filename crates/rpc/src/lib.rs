//! gRPC between nodes: the generated protocol, channels and servers with mutual
//! TLS and deadlines, the authority that signs nodes and the token by which they
//! join, and the one table that turns failures into statuses and back. Knows no
//! command, no query and no Raft: payloads are bytes here.

mod authority;
mod channel;
mod connector;
mod failure;
mod guard;
mod join;
mod preset;
mod serve;
mod tls;
mod token;

/// The generated messages, clients and servers.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod proto {
    tonic::include_proto!("postrider.v1");
}

pub use authority::{Authority, KeyRequest, NODE_AGE, NODE_NAME, check_signing_request};
pub use channel::{Channels, Timeouts, server};
pub use connector::{Connecting, Connector, Transport};
pub use failure::Failure;
pub use guard::{Caller, FORWARDED, Guard, Standing};
pub use join::join;
pub use preset::{Invited, JoinSecret, invite};
pub use serve::serve;
pub use tls::{Error, Identity, Mutual, Tls, belong_together, check_identity};
pub use token::{Token, TokenError};
pub use tonic;

/// The largest message, in bytes: a few of the largest log entries.
pub const MAX_MESSAGE: usize = 64 << 20;
/// The largest message that a caller without a certificate may send, in bytes:
/// for the service `Join`.
pub const MAX_JOIN_MESSAGE: usize = 64 << 10;
