//! Subscribed names.

use postrider_kv::{self as kv, Read};
use postrider_types::AccountId;
use serde::{Deserialize, Serialize};

/// Subscribed names, also of mailboxes that do not exist (RFC 3501 §6.3.6).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscriptions {
    /// The account.
    pub account: AccountId,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: Subscriptions) -> kv::Result<Vec<String>> {
    Err(kv::Error::Engine(
        "the query Subscriptions is not written yet".into(),
    ))
}
