//! An account's use and limits.

use postrider_kv::{self as kv, Read};
use postrider_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::view::QuotaView;

/// An account's use and limits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Quota {
    /// The account.
    pub account: AccountId,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: Quota) -> kv::Result<QuotaView> {
    Err(kv::Error::Engine(
        "the query Quota is not written yet".into(),
    ))
}
