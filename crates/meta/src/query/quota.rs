//! An account's use and limits.

use postrider_kv::{self as kv, Read};
use postrider_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::view::QuotaView;
use crate::{key, row};

/// An account's use and limits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Quota {
    /// The account.
    pub account: AccountId,
}

pub(super) async fn answer<R: Read>(read: &R, query: Quota) -> kv::Result<QuotaView> {
    let account: Option<row::Account> = row::get(read, &key::account(query.account)).await?;
    let counters = row::get(read, &key::counters(query.account)).await?;
    Ok(account
        .unwrap_or_default()
        .quota(&counters.unwrap_or_default()))
}
