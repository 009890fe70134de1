//! An account's mailboxes.

use postrider_kv::{self as kv, Read};
use postrider_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::view::{Cursor, MailboxView, Page};

/// An account's mailboxes by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mailboxes {
    /// The account.
    pub account: AccountId,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: Mailboxes) -> kv::Result<Page<MailboxView>> {
    Err(kv::Error::Engine(
        "the query Mailboxes is not written yet".into(),
    ))
}
