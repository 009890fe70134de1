//! The client side of SMTP (RFC 5321): connections to other servers, over TCP
//! and TLS, and messages sent over them.
//!
//! A [`Connector`] opens a [`Connection`] to one [`Peer`] with the [`Security`]
//! that its caller demands. [`Connection::send`] brings one message and tells a
//! [`Verdict`] for each recipient; [`Connection::ask_recipient`] only asks whether
//! there is such a recipient. Where mail goes, when it is tried again and
//! what a failure means for the sender is not decided here.
//!
//! A message that is not sent to its end is never made to look like one that
//! is: whatever goes wrong on either side, the connection is given up without
//! the terminating dot or the last chunk.

mod connection;
mod connector;
mod content;
mod envelope;
mod failure;
mod gate;
mod hello;
mod inquiry;
mod login;
mod race;
mod security;
mod settings;
mod source;
mod start_tls;
mod stream;
mod tls;
mod transaction;
mod verifier;
mod wire;

pub use connection::Connection;
pub use connector::{Connector, Error, Peer};
pub use envelope::{Envelope, Recipient, Verdict};
pub use failure::{Failure, Kind, Phase, TlsCause};
pub use gate::Gate;
pub use login::Login;
pub use postrider_proto::smtp::client::{Capabilities, Reply};
pub use race::{Race, Reached};
pub use security::{Security, TlsFacts, Tlsa};
pub use settings::Settings;
pub use source::{Source, SourceError};
