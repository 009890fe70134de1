//! The client's half of SMTP (RFC 5321): [`Request`]s to bytes, bytes to
//! [`Reply`]s, EHLO's answer to [`Capabilities`], and the transparency of DATA
//! ([`Stuffing`]).
//!
//! Knows no connection and no order of commands: that is `relay`'s. What the
//! peer says is bounded and made safe to store and show; what is written to it
//! can hold no line end, whatever address or parameter it was made of.

mod ehlo;
mod reply;
mod request;
mod stuffing;

pub use ehlo::Capabilities;
pub use reply::{MAX_REPLY_LINE, MAX_REPLY_LINES, MAX_REPLY_TEXT, Reply, ReplyError, ReplyParser};
pub use request::{Request, RequestError};
pub use stuffing::{BareLineEnd, Lines, Stuffing};
