//! Takes a member out of a list at its own wish.

use postrider_kv::Txn;
use postrider_types::Address;
use serde::{Deserialize, Serialize};

use crate::stop::Stop;
use crate::{Context, Refusal, key, row};

/// Takes a member out of a list that lets its members go. Answers whether it was
/// one: false where it, or the whole list, is gone already. Refused with
/// [`Refusal::Invalid`] where members of the group may not take themselves out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveMember {
    /// The list's address.
    pub group: Address,
    /// The member, as the list has it.
    pub member: Address,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: RemoveMember,
) -> Result<bool, Stop> {
    let group_key = key::group(&command.group);
    let Some(mut group) = row::get::<row::Group>(txn, &group_key).await? else {
        return Ok(false);
    };
    if !group.list || !group.unsubscribe {
        let text = format!("members of {} cannot take themselves out", command.group);
        return Err(Refusal::Invalid(text).into());
    }
    let member = key::group_member(&command.group, &command.member);
    if txn.get(&member).await?.is_none() {
        return Ok(false);
    }
    txn.delete(member);
    group.members -= 1;
    row::put(txn, group_key, &group);
    Ok(true)
}
