//! Appends messages to a mailbox of their owner.

use postrider_kv::Txn;
use postrider_types::{AccountId, Flags, MailboxId, Millis, Uid, UidValidity};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;
use crate::view::NewBody;

/// Appends messages to a mailbox, all or none (RFC 9051 §6.3.12, RFC 3502).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Append {
    /// The account.
    pub account: AccountId,
    /// The mailbox's name.
    pub mailbox: String,
    /// The messages, 1 to 100.
    pub messages: Vec<AppendMessage>,
}

/// One message of [`Append`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendMessage {
    /// The body.
    pub body: NewBody,
    /// Its flags.
    pub flags: Flags,
    /// INTERNALDATE.
    pub internal_date: Millis,
    /// INTERNALDATE's zone, minutes east of UTC.
    pub zone: i16,
}

/// What [`Append`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Its UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The UIDs in the order of the messages.
    pub uids: Vec<Uid>,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: Append,
) -> Result<Appended, Stop> {
    Err(Stop::unwritten("Append"))
}
