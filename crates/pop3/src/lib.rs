//! POP3 sessions (RFC 1939 and its extensions): one file per command.
//!
//! Owns what a session shows and when a command is allowed. The wire format is
//! `proto`'s, logins are `auth`'s, bytes of messages are `body`'s.
//!
//! A maildrop is the INBOX as it was at login, at most its oldest
//! [`MAX_MESSAGES`] messages: the rest shows after these have been deleted. There
//! is no lock: several sessions, and IMAP, may use the mailbox at the same time;
//! a message that another one removed meanwhile answers `-ERR`. Deletions happen
//! at QUIT, all or none.

mod ahead;
mod command;
mod maildrop;
mod server;
mod session;
mod settings;

#[cfg(test)]
mod tests;

pub use maildrop::MAX_MESSAGES;
pub use server::{Handles, Server};
pub use settings::Settings;
