//! Objects that may be removed.

use postrider_kv::{self as kv, Read};
use postrider_types::Millis;
use serde::{Deserialize, Serialize};

use crate::view::{Cursor, ObjectView, Page};

/// Objects in which nothing has been live since before a moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadObjects {
    /// Dead since before this.
    pub before: Millis,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(
    _read: &R,
    _query: DeadObjects,
) -> kv::Result<Page<ObjectView>> {
    Err(kv::Error::Engine(
        "the query DeadObjects is not written yet".into(),
    ))
}
