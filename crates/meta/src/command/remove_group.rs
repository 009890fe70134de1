//! Removes a distribution group.

use postrider_kv::Txn;
use postrider_kv::key::successor;
use postrider_types::Address;
use serde::{Deserialize, Serialize};

use crate::stop::Stop;
use crate::{Context, Refusal, key, row};

/// Removes a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveGroup {
    /// The group's address.
    pub address: Address,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: RemoveGroup,
) -> Result<(), Stop> {
    let group = key::group(&command.address);
    if row::get::<row::Group>(txn, &group).await?.is_none() {
        return Err(Refusal::NotFound(format!("group {}", command.address)).into());
    }
    txn.delete(group);
    txn.delete(key::name(&command.address));
    let members = key::group_members(&command.address);
    let end = successor(&members);
    txn.delete_range(members, end);
    Ok(())
}
