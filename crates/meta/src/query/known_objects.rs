//! Which objects belong to the store.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

/// Whether the store knows these objects (live or dead): unknown ones that are
/// old are orphans.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownObjects {
    /// The keys, at most 1,000.
    pub keys: Vec<String>,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: KnownObjects) -> kv::Result<Vec<bool>> {
    Err(kv::Error::Engine(
        "the query KnownObjects is not written yet".into(),
    ))
}
