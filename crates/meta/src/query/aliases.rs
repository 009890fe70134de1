//! Aliases.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::view::{AliasView, Cursor, Page};

/// Aliases by address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Aliases {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: Aliases) -> kv::Result<Page<AliasView>> {
    Err(kv::Error::Engine(
        "the query Aliases is not written yet".into(),
    ))
}
