//! Delivers one message to local accounts.

use bytes::Bytes;
use postrider_kv::Txn;
use postrider_types::{AccountId, Flags, MailboxId, Millis, Uid};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::api::Refusal;
use crate::stop::Stop;
use crate::view::NewBody;

/// Delivers one message to local accounts, all in one transaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accept {
    /// The body.
    pub body: NewBody,
    /// Who receives it, each account once, 1 to 10,000.
    pub deliveries: Vec<Delivery>,
    /// INTERNALDATE of all.
    pub received: Millis,
}

/// One recipient of [`Accept`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The account.
    pub account: AccountId,
    /// The mailbox's name; where it does not exist, INBOX takes the message.
    pub mailbox: String,
    /// Header fields for this recipient, CRLF at the end, at most 8 KiB.
    pub prefix: Bytes,
    /// Flags to set on arrival.
    pub flags: Flags,
    /// Deliver even if this message alone exceeds the quota, as long as the
    /// account was under it: for a recipient that was already accepted.
    pub overdraft: bool,
}

/// What [`Accept`] did, one per delivery in their order. If none succeeded
/// nothing is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Per delivery: its place, or why not ([`Refusal::OverQuota`],
    /// [`Refusal::Closed`], [`Refusal::NotFound`]).
    pub deliveries: Vec<Result<Delivered, Refusal>>,
}

/// Where a message was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Its UID there.
    pub uid: Uid,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: Accept,
) -> Result<Accepted, Stop> {
    Err(Stop::unwritten("Accept"))
}
