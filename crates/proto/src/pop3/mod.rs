//! The POP3 wire format (RFC 1939) as the server sees it: command lines to
//! typed [`Command`]s, [`ErrorCode`]s, and messages to multi-line responses
//! ([`Stuffer`], [`TopLines`]).
//!
//! Knows no session: whether a command is allowed now is for `pop3` to say.
//! Every input is bounded and no input panics.

mod command;
mod lines;
mod reply;

pub use command::{Command, Error};
pub use lines::{Stuffer, TopLines};
pub use reply::{ErrorCode, write_err, write_ok};

/// The longest command line in bytes, CRLF included. RFC 2449 §4 asks for 255;
/// AUTH with an initial response grows by its base64.
pub const MAX_COMMAND_LINE: usize = crate::sasl::MAX_LINE + 64;
