//! Subscribed names.

use postrider_kv::{self as kv, Range, Read};
use postrider_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::{key, limit, row};

/// Subscribed names, also of mailboxes that do not exist (RFC 3501 §6.3.6).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscriptions {
    /// The account.
    pub account: AccountId,
}

pub(super) async fn answer<R: Read>(read: &R, query: Subscriptions) -> kv::Result<Vec<String>> {
    let all = Range::prefix(
        &key::subscriptions(query.account),
        limit::SUBSCRIPTIONS as usize,
    );
    let pairs = read.range(all).await?;
    pairs
        .iter()
        .map(|(key, _)| key::mailbox_name_of(key).ok_or_else(|| row::bad_key(key)))
        .collect()
}
