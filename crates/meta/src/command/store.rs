//! Changes flags.

use postrider_kv::Txn;
use postrider_types::{AccountId, Flags, MailboxId, ModSeq, Uid};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;
use crate::view::UidRanges;

/// How [`Store`] changes flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreMode {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// Changes flags of up to 1,000 messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Store {
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The messages; UIDs without a message are passed over. Refused with
    /// [`Refusal::Limit`] where more than 1,000 exist.
    pub uids: UidRanges,
    /// How.
    pub mode: StoreMode,
    /// The flags.
    pub flags: Flags,
    /// Leave messages with a MODSEQ above this (RFC 7162 §3.1.3).
    pub unchanged_since: Option<ModSeq>,
}

/// What [`Store`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Each message that passed the condition, with the MODSEQ and flags that it
    /// now has, ascending by UID. A message whose flags did not change keeps its MODSEQ.
    pub messages: Vec<(Uid, ModSeq, Flags)>,
    /// Messages that failed the condition.
    pub modified: Vec<Uid>,
    /// UIDs asked for singly that have no message (any more).
    pub missing: Vec<Uid>,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: Store,
) -> Result<Stored, Stop> {
    Err(Stop::unwritten("Store"))
}
