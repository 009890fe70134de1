//! The SMTP wire format (RFC 5321) as the server sees it: command lines to
//! typed [`Command`]s, [`Reply`]s to bytes, and the content of DATA and BDAT
//! freed of its transparency ([`Content`]). LMTP (RFC 2033) differs by LHLO
//! alone. The client's half is [`client`].
//!
//! Knows no session: whether a command is allowed now, and whether an address
//! exists, is for `smtp` to say. Every input is bounded and no input panics.

pub mod client;
mod command;
mod content;
mod parameter;
mod path;
mod reply;
mod srs;
mod unsubscribe;
mod xtext;

pub use command::{Command, Error, Mail, Rcpt};
pub use content::{Content, Piece, Violation};
pub use parameter::{
    Auth, Body, MailParameters, Notify, OriginalRecipient, RcptParameters, Return,
};
pub use path::{ForwardPath, Host, Mailbox, PathError};
pub use reply::Reply;
pub use srs::{SrsKey, looks_rewritten};
pub use unsubscribe::{Unsubscribe, UnsubscribeKey, UnsubscribeLinks};

/// The longest command line in bytes, CRLF included. RFC 5321 §4.5.3.1.4 asks
/// for 512; MAIL and RCPT grow by what their extensions add (SIZE 26,
/// SMTPUTF8 10 and longer paths, AUTH 500, DSN 100 and 500).
pub const MAX_COMMAND_LINE: usize = 2048;

/// The longest AUTH line in bytes, CRLF included (RFC 4954 §4).
pub const MAX_AUTH_LINE: usize = crate::sasl::MAX_LINE + 64;
