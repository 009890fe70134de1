//! Removes an account at once; its rows are left to [`super::Purge`].

use postrider_kv::Txn;
use postrider_types::Address;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;

/// Removes an account: gone at once, its rows are purged in the background.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveAccount {
    /// Its address.
    pub address: Address,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: RemoveAccount,
) -> Result<(), Stop> {
    Err(Stop::unwritten("RemoveAccount"))
}
