//! Renames a mailbox with its inferiors, or empties INBOX into a new one.

use postrider_kv::Txn;
use postrider_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;

/// Renames a mailbox with its inferiors; of INBOX it moves the messages
/// (RFC 9051 §6.3.6).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenameMailbox {
    /// The account.
    pub account: AccountId,
    /// The name.
    pub from: String,
    /// The new name.
    pub to: String,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: RenameMailbox,
) -> Result<(), Stop> {
    Err(Stop::unwritten("RenameMailbox"))
}
