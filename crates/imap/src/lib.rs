//! IMAP sessions: IMAP4rev1 (RFC 3501) with the extensions of [`capability`].
//!
//! Owns what a session is (its state, the selected mailbox as the client sees
//! it) and one file per command under `command/`. Parsing and writing is
//! `proto::imap`'s, rules about mailboxes are `meta`'s, bytes of messages are
//! `body`'s. Holds nothing that matters: whatever was answered is durable.

mod account;
mod capability;
mod command;
mod error;
mod fetch;
mod idle;
mod metric;
mod output;
mod recent;
mod search;
mod selected;
mod server;
mod session;
mod settings;
mod standing;
mod sync;
mod table;

pub use server::{Handles, Server};
pub use settings::Settings;
