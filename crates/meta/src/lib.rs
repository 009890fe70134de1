//! The domain: what Postrider knows about domains, accounts, mailboxes,
//! messages and bodies, and every way to change or ask it.
//!
//! Commands (verbs, `command/`) change; queries (`query/`) ask. Sessions see
//! the [`Meta`] trait alone; a backend runs the same functions over its own
//! [`postrider_kv::Txn`]. No protocol, no message parsing, no I/O, no clock, no
//! randomness: time and ids come in with the command and its [`Context`].

pub mod command;
pub mod limit;
pub mod memory;
pub mod query;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

mod account;
mod api;
mod body;
mod client;
mod cluster;
mod consistency;
mod directory;
mod evaluate;
mod history;
mod key;
mod mailbox;
mod message;
mod name;
mod queue;
mod row;
mod stop;
mod uids;
mod version;
mod view;
mod watch;

pub use api::{
    Act, Answer, Ask, Changes, Command, Context, Error, Executed, Meta, Outcome, Query, ReadAt,
    Refusal, Token,
};
pub use client::{Client, Read};
pub use consistency::check_consistency;
pub use evaluate::{Evaluated, evaluate};
pub use key::is_upkeep;
pub use version::version;
pub use view::*;
pub use watch::{Group, Watchers};
