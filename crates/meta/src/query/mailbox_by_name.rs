//! One mailbox.

use postrider_kv::{self as kv, Read};
use postrider_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::view::MailboxView;

/// One mailbox by its name (INBOX in any case).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MailboxByName {
    /// The account.
    pub account: AccountId,
    /// The full name.
    pub name: String,
}

pub(super) async fn answer<R: Read>(
    _read: &R,
    _query: MailboxByName,
) -> kv::Result<Option<MailboxView>> {
    Err(kv::Error::Engine(
        "the query MailboxByName is not written yet".into(),
    ))
}
