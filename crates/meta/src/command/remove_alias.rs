//! Removes an alias.

use postrider_kv::Txn;
use postrider_types::Address;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;

/// Removes an alias.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveAlias {
    /// The alias.
    pub address: Address,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: RemoveAlias,
) -> Result<(), Stop> {
    Err(Stop::unwritten("RemoveAlias"))
}
