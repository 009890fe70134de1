//! What background steps have left to do.

use postrider_kv::{self as kv, Range, Read};
use serde::{Deserialize, Serialize};

use crate::key;

/// What bounded background steps have left to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unfinished {}

/// The answer to [`Unfinished`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// Deleted mailboxes and accounts with rows left: [`crate::command::Purge`].
    pub purge: bool,
}

pub(super) async fn answer<R: Read>(read: &R, _query: Unfinished) -> kv::Result<Backlog> {
    let purges = read.range(Range::prefix(&key::purges(), 1)).await?;
    Ok(Backlog {
        purge: !purges.is_empty(),
    })
}
