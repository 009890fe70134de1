//! Local domains.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::view::{Cursor, DomainView, Page};

/// Local domains by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Domains {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: Domains) -> kv::Result<Page<DomainView>> {
    Err(kv::Error::Engine(
        "the query Domains is not written yet".into(),
    ))
}
