//! Connections: listeners, TLS, the PROXY protocol, limits and draining.
//!
//! Knows bytes and sockets, never a mail protocol: a protocol is a [`Service`]
//! that is handed a [`Connection`] and a [`Drain`].

pub mod proxy;

mod connection;
mod counts;
mod gate;
mod key;
mod listener;
mod network;
mod pace;
mod rate;
mod read_buffer;
mod service;
mod tls;

pub use connection::{Connection, TlsInfo};
pub use counts::{Counts, Event, Held, Report};
pub use gate::{Gate, Permit};
pub use key::Key;
pub use listener::{Listener, ListenerSettings};
pub use network::{Network, address_key};
pub use pace::Pace;
pub use rate::{Marks, RateLimiter};
pub use read_buffer::{ReadBuffer, ReadError};
pub use service::{Busy, Drain, Service};
pub use tls::{Tls, TlsSettings, Validity};

/// What goes wrong while listeners and certificates are set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}{hint}")]
    Bind {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
        /// What to do about it, with a leading separator; may be empty.
        hint: &'static str,
    },
    /// A certificate or key file cannot be used.
    #[error("cannot use {file} for TLS: {reason}")]
    Certificate {
        /// The file.
        file: std::path::PathBuf,
        /// Why, and what is needed.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}
