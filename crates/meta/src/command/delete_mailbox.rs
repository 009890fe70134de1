//! Deletes a mailbox; its messages are left to [`super::Purge`].

use postrider_kv::Txn;
use postrider_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;

/// Deletes a mailbox: gone at once, its messages are purged in the background.
/// Refused for INBOX. One with inferiors stays as a name only; here it is
/// refused (RFC 9051 §6.3.5 leaves the choice).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteMailbox {
    /// The account.
    pub account: AccountId,
    /// The name.
    pub name: String,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: DeleteMailbox,
) -> Result<(), Stop> {
    Err(Stop::unwritten("DeleteMailbox"))
}
