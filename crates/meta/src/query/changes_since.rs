//! What happened in a mailbox after a moment.

use postrider_kv::{self as kv, Read};
use postrider_types::{AccountId, MailboxId, ModSeq, Uid};
use serde::{Deserialize, Serialize};

use crate::view::MessageView;

/// What happened in a mailbox after a moment: from the change log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangesSince {
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Changes with a MODSEQ above this.
    pub since: ModSeq,
    /// The most log entries to read, 1 to 10,000.
    pub limit: u32,
}

/// A page of changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePage {
    /// The mailbox is gone.
    pub gone: bool,
    /// The log no longer reaches back to `since`: read the mailbox anew.
    pub truncated: bool,
    /// New or changed messages as they are now ([`Detail::Flags`]), ascending by UID.
    pub changed: Vec<MessageView>,
    /// UIDs that were removed, ascending.
    pub vanished: Vec<Uid>,
    /// The answer covers all changes up to and including this MODSEQ.
    pub up_to: ModSeq,
    /// There is more: ask again since `up_to`.
    pub more: bool,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: ChangesSince) -> kv::Result<ChangePage> {
    Err(kv::Error::Engine(
        "the query ChangesSince is not written yet".into(),
    ))
}
