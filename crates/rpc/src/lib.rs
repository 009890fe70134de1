//! gRPC between nodes: the generated protocol, channels and servers with mutual
//! TLS and deadlines, and the one table that turns failures into statuses and
//! back. Knows no command, no query and no Raft: payloads are bytes here.

mod channel;
mod connector;
mod failure;
mod tls;

/// The generated messages, clients and servers.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod proto {
    tonic::include_proto!("postrider.v1");
}

pub use channel::{Channels, Timeouts, server};
pub use connector::{Connecting, Connector, Transport};
pub use failure::Failure;
pub use tls::{Error, Identity, Tls};
pub use tonic;

/// The largest message, in bytes: a few of the largest log entries.
pub const MAX_MESSAGE: usize = 64 << 20;
