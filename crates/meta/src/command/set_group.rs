//! Adds a distribution group or changes its members and what it is.

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
    /// What makes it a mailing list.
    pub list: ListChange,
    /// Add the group: refuse if it exists. Otherwise refuse if it does not.
    pub only_new: bool,
}

/// Changes what makes a group a mailing list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListChange {
    /// It is a list. One that no longer is loses the other two.
    pub on: Change<bool>,
    /// Who answers for it and gets its bounces: an address here or outside, with a
    /// local part of plain ASCII. None is the postmaster of its domain.
    pub owner: Change<Option<Address>>,
    /// Members may take themselves out.
    pub unsubscribe: Change<bool>,
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
    change_list(&command.address, &mut group, command.list)?;
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

/// Changes what the group `address` is as a list.
fn change_list(
    address: &Address,
    group: &mut row::Group,
    change: ListChange,
) -> Result<(), Refusal> {
    if let Change::Set(on) = change.on {
        group.list = on;
        if !on {
            group.owner = None;
            group.unsubscribe = false;
        }
    }
    if let Change::Set(owner) = &change.owner {
        group.owner = owner.as_ref().map(ToString::to_string);
    }
    if let Change::Set(unsubscribe) = change.unsubscribe {
        group.unsubscribe = unsubscribe;
    }
    if !group.list {
        if group.owner.is_some() || group.unsubscribe {
            let text = format!("{address} is no list: only a list has an owner and lets go");
            return Err(Refusal::Invalid(text));
        }
        return Ok(());
    }
    must_name_a_list(address)?;
    match change.owner {
        Change::Set(Some(owner)) => must_own(address, &owner),
        _ => Ok(()),
    }
}

/// Refuses an address that cannot be written into the fields of a list, or that
/// leaves no room for its bounces.
fn must_name_a_list(address: &Address) -> Result<(), Refusal> {
    let most = directory::MAX_LIST_LOCAL;
    if address.local().len() > most || !is_plain(address.local()) {
        let text = format!(
            "the name of a list has up to {most} ASCII characters without quotes before the @"
        );
        return Err(Refusal::Invalid(text));
    }
    Ok(())
}

/// Refuses an owner that cannot be written into the fields of a list, or that is
/// the list: its bounces would go to all.
fn must_own(list: &Address, owner: &Address) -> Result<(), Refusal> {
    let base = owner.without_detail().map(|(base, _)| base);
    if owner == list || base.as_ref() == Some(list) {
        return Err(Refusal::Invalid(format!("{list} cannot be its own owner")));
    }
    if !is_plain(owner.local()) {
        let text = format!("the owner {owner} has a name that needs quotes or is not ASCII");
        return Err(Refusal::Invalid(text));
    }
    Ok(())
}

/// RFC 5322 §3.2.3: dot-atom-text.
fn is_plain(local: &str) -> bool {
    let atext = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    let atom = |atom: &str| !atom.is_empty() && atom.bytes().all(atext);
    local.split('.').all(atom)
}
