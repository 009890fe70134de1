//! Subscribes to a mailbox name, or no longer.

use postrider_kv::Txn;
use postrider_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;

/// Subscribes to a name, or no longer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscribe {
    /// The account.
    pub account: AccountId,
    /// The name; it need not exist.
    pub name: String,
    /// True to subscribe.
    pub subscribed: bool,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: Subscribe,
) -> Result<(), Stop> {
    Err(Stop::unwritten("Subscribe"))
}
