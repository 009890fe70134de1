//! Accounts.

use postrider_kv::{self as kv, Read};
use postrider_types::DomainName;
use serde::{Deserialize, Serialize};

use crate::view::{AccountView, Cursor, Page};

/// Accounts by address, of one domain or of all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accounts {
    /// Only this domain's.
    pub domain: Option<DomainName>,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: Accounts) -> kv::Result<Page<AccountView>> {
    Err(kv::Error::Engine(
        "the query Accounts is not written yet".into(),
    ))
}
