//! Removes messages.

use postrider_kv::Txn;
use postrider_types::{AccountId, MailboxId, ModSeq, Uid};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;
use crate::view::UidRanges;

/// Removes messages, all or none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Expunge {
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Which; UIDs without a message are passed over.
    pub uids: UidRanges,
    /// Only those with `\Deleted` (EXPUNGE); false removes all (POP3).
    pub only_deleted: bool,
    /// Stop after this many, 1 to 20,000; [`Expunged::more`] tells.
    pub limit: u32,
}

/// What [`Expunge`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expunged {
    /// Removed UIDs, ascending.
    pub uids: Vec<Uid>,
    /// The MODSEQ of the removal.
    pub mod_seq: ModSeq,
    /// There are more to remove.
    pub more: bool,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: Expunge,
) -> Result<Expunged, Stop> {
    Err(Stop::unwritten("Expunge"))
}
