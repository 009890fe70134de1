//! What the end-to-end tests share: a node as a process of its own, and clients
//! that speak to it over the wire. No assertions, no knowledge of crates inside.

mod imap;
mod node;
mod pop3;
mod smtp;
mod wire;

pub use imap::Imap;
pub use node::{Addresses, Node};
pub use pop3::Pop3;
pub use smtp::{Reply, Smtp};
pub use wire::Wire;
