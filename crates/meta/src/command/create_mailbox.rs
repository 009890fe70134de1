//! Creates a mailbox.

use postrider_kv::Txn;
use postrider_types::{AccountId, MailboxId};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;
use crate::view::SpecialUse;

/// Creates a mailbox and its missing superiors (RFC 9051 §6.3.4).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateMailbox {
    /// The account.
    pub account: AccountId,
    /// The full name in UTF-8, `/` between levels, at most 255 characters and 20 levels.
    pub name: String,
    /// Its special use (RFC 6154 §3).
    pub special_use: Option<SpecialUse>,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: CreateMailbox,
) -> Result<MailboxId, Stop> {
    Err(Stop::unwritten("CreateMailbox"))
}
