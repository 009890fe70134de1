//! What the end-to-end tests share: nodes and clusters as processes of their own,
//! clients that speak to them over the wire, and loads that know what they were
//! told. No knowledge of crates inside.

mod bucket;
mod cluster;
mod figures;
mod fixture;
mod host;
mod https;
mod imap;
pub mod linear;
pub mod load;
mod node;
mod peer;
mod pop3;
mod ports;
mod process;
mod smtp;
mod wire;

pub use bucket::{Bucket, Mood};
pub use cluster::{Cluster, Member, Plan, Roles};
pub use figures::Figures;
pub use fixture::Fixture;
pub use host::Host;
pub use https::{Authority, HttpsServer, Posted};
pub use imap::Imap;
pub use node::Node;
pub use peer::{Act, Peer, Stage, Taken};
pub use pop3::Pop3;
pub use process::{Addresses, Process};
pub use smtp::{Reply, Smtp};
pub use wire::Wire;
