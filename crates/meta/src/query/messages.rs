//! Messages of a mailbox by UID.

use postrider_kv::{self as kv, Read};
use postrider_types::{AccountId, MailboxId, ModSeq, Uid};
use serde::{Deserialize, Serialize};

use crate::view::{Detail, MessageView, UidRanges};

/// Messages of a mailbox by UID, ascending.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Messages {
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Which ones; UIDs without a message are passed over.
    pub uids: UidRanges,
    /// How much of each.
    pub detail: Detail,
    /// Only those with a MODSEQ above this; 0 for all.
    pub changed_since: ModSeq,
    /// The most to return, 1 to 10,000. An answer also ends at about 4 MiB.
    pub limit: u32,
}

/// A page of messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePage {
    /// The messages, ascending by UID.
    pub messages: Vec<MessageView>,
    /// Ask again from this UID on; None when all are told.
    pub next: Option<Uid>,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: Messages) -> kv::Result<MessagePage> {
    Err(kv::Error::Engine(
        "the query Messages is not written yet".into(),
    ))
}
