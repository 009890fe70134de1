//! The live bodies in an object.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::view::{BodyView, Cursor, Page};

/// The live bodies in an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PackContents {
    /// The object's key.
    pub key: String,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 10,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: PackContents) -> kv::Result<Page<BodyView>> {
    Err(kv::Error::Engine(
        "the query PackContents is not written yet".into(),
    ))
}
