//! Objects that waste space.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::view::{Cursor, ObjectView, Page};

/// Objects with something live, less than half of their bytes, in no order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Packs {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: Packs) -> kv::Result<Page<ObjectView>> {
    Err(kv::Error::Engine(
        "the query Packs is not written yet".into(),
    ))
}
