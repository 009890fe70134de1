//! The domain: what Postrider knows about domains, accounts, mailboxes,
//! messages and bodies, and every way to change or ask it.
//!
//! Commands (verbs, `command/`) change; queries (`query/`) ask. Sessions see
//! the [`Meta`] trait alone; a backend runs the same functions over its own
//! [`postrider_kv::Txn`]. No protocol, no message parsing, no I/O, no clock, no
//! randomness: time and ids come in with the command and its [`Context`].

pub mod command;
pub mod limit;
pub mod query;

mod account;
mod api;
mod body;
mod directory;
mod key;
mod mailbox;
mod message;
mod name;
mod row;
mod stop;
mod uids;
mod view;

pub use api::{
    Act, Answer, Ask, Changes, Client, Command, Context, Error, Executed, Meta, Outcome, Query,
    ReadAt, Refusal, Token,
};
pub use view::*;
