//! Adds a distribution group or changes its members.

use postrider_kv::Txn;
use postrider_types::Address;
use serde::{Deserialize, Serialize};

use super::Change;
use crate::directory::{self, MAX_GROUP_MEMBERS};
use crate::row::Holder;
use crate::stop::Stop;
use crate::{Context, Refusal, key, row};

/// Adds a group or changes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetGroup {
    /// The group's address.
    pub address: Address,
    /// Members to add, here or outside.
    pub add: Vec<Address>,
    /// Members to take out.
    pub remove: Vec<Address>,
    /// Takes mail from local senders only.
    pub internal: Change<bool>,
    /// Add the group: refuse if it exists. Otherwise refuse if it does not.
    pub only_new: bool,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: SetGroup,
) -> Result<(), Stop> {
    let mut group = existing_or_new(txn, &command).await?;
    if command.add.contains(&command.address) {
        let text = format!("{} cannot be its own member", command.address);
        return Err(Refusal::Invalid(text).into());
    }
    for member in &command.remove {
        let key = key::group_member(&command.address, member);
        if txn.get(&key).await?.is_none() {
            return Err(Refusal::NotFound(format!("member {member}")).into());
        }
        txn.delete(key);
        group.members -= 1;
    }
    for member in &command.add {
        let key = key::group_member(&command.address, member);
        if txn.get(&key).await?.is_none() {
            txn.put(key, row::EMPTY);
            group.members += 1;
        }
    }
    if group.members as usize > MAX_GROUP_MEMBERS {
        let text = format!("a group has at most {MAX_GROUP_MEMBERS} members; nest groups for more");
        return Err(Refusal::Limit(text).into());
    }
    if let Change::Set(internal) = command.internal {
        group.internal = internal;
    }
    row::put(txn, key::group(&command.address), &group);
    Ok(())
}

/// The group to change: a new one takes its address.
async fn existing_or_new<T: Txn>(txn: &mut T, command: &SetGroup) -> Result<row::Group, Stop> {
    let address = &command.address;
    if command.only_new {
        directory::domain_of_new(txn, address).await?;
        directory::must_be_free(txn, address).await?;
        let name = row::Name {
            holder: Holder::Group.into(),
            account: 0,
        };
        row::put(txn, key::name(address), &name);
        return Ok(row::Group::default());
    }
    let refusal = || Refusal::NotFound(format!("group {address}"));
    Ok(row::get(txn, &key::group(address))
        .await?
        .ok_or_else(refusal)?)
}
