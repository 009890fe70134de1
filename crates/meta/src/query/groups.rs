//! Distribution groups.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::view::{Cursor, GroupView, Page};

/// Groups by address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Groups {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 100.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: Groups) -> kv::Result<Page<GroupView>> {
    Err(kv::Error::Engine(
        "the query Groups is not written yet".into(),
    ))
}
