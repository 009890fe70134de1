//! What background steps have left to do.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

/// What bounded background steps have left to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unfinished {}

/// The answer to [`Unfinished`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// Deleted mailboxes and accounts with rows left: [`crate::command::Purge`].
    pub purge: bool,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: Unfinished) -> kv::Result<Backlog> {
    Err(kv::Error::Engine(
        "the query Unfinished is not written yet".into(),
    ))
}
