//! Copies or moves messages within an account.

use postrider_kv::Txn;
use postrider_types::{AccountId, MailboxId, Uid, UidValidity};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;
use crate::view::UidRanges;

/// Copies or moves up to 1,000 messages within an account, all or none
/// (RFC 9051 §6.4.7, RFC 6851).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Copy {
    /// The account.
    pub account: AccountId,
    /// The source.
    pub from: MailboxId,
    /// The messages; UIDs without a message are passed over. Refused with
    /// [`Refusal::Limit`] where more than 1,000 exist.
    pub uids: UidRanges,
    /// The target mailbox's name.
    pub to: String,
    /// Remove the originals.
    pub remove: bool,
}

/// What [`Copy`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The target.
    pub mailbox: MailboxId,
    /// Its UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// Source and target UIDs, ascending.
    pub uids: Vec<(Uid, Uid)>,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: Copy,
) -> Result<Copied, Stop> {
    Err(Stop::unwritten("Copy"))
}
