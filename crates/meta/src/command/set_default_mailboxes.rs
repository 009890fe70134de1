//! Sets the mailboxes that new accounts get.

use postrider_kv::Txn;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;
use crate::view::DefaultMailbox;

/// Sets the list of mailboxes that each new account gets. Accounts that exist
/// are left alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetDefaultMailboxes {
    /// The list, at most 100, without INBOX.
    pub mailboxes: Vec<DefaultMailbox>,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: SetDefaultMailboxes,
) -> Result<(), Stop> {
    Err(Stop::unwritten("SetDefaultMailboxes"))
}
