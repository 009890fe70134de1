//! Bodies that wait for the packer.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::view::{BodyView, Cursor, Page};

/// Inline bodies, oldest first, with their bytes: food for the packer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InlineBodies {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most bodies to return, 1 to 10,000.
    pub limit: u32,
    /// An answer ends at this many bytes.
    pub max_bytes: u64,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: InlineBodies) -> kv::Result<Page<BodyView>> {
    Err(kv::Error::Engine(
        "the query InlineBodies is not written yet".into(),
    ))
}
