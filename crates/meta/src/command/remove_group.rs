//! Removes a distribution group.

use postrider_kv::Txn;
use postrider_types::Address;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;

/// Removes a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveGroup {
    /// The group's address.
    pub address: Address,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: RemoveGroup,
) -> Result<(), Stop> {
    Err(Stop::unwritten("RemoveGroup"))
}
