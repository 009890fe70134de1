//! Distribution groups.

use postrider_kv::{self as kv, Range, Read};
use serde::{Deserialize, Serialize};

use crate::directory::{self, MAX_GROUP_MEMBERS};
use crate::view::{Cursor, GroupView, ListView, Page};
use crate::{key, row};

/// The most groups of a page: each comes with all its members.
const MOST: u32 = 100;

/// Groups by address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Groups {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 100.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(read: &R, query: Groups) -> kv::Result<Page<GroupView>> {
    let range = directory::page(&key::groups(), query.after.as_ref(), query.limit, MOST);
    let mut rows = row::range::<row::Group>(read, range).await?;
    let next = directory::finish(&mut rows, query.limit, MOST);
    let mut items = Vec::with_capacity(rows.len());
    for (key, group) in rows {
        let address = key::address_of(&key).ok_or_else(|| row::bad_key(&key))?;
        let members = members(read, &address).await?;
        items.push(GroupView {
            address,
            members,
            internal: group.internal,
            list: list(&group)?,
        });
    }
    Ok(directory::paged(items, next))
}

fn list(group: &row::Group) -> kv::Result<Option<ListView>> {
    if !group.list {
        return Ok(None);
    }
    let owner = group.owner.as_deref();
    Ok(Some(ListView {
        owner: owner.map(directory::stored_address).transpose()?,
        unsubscribe: group.unsubscribe,
    }))
}

/// The members of the group `address`.
pub(super) async fn members<R: Read>(
    read: &R,
    address: &postrider_types::Address,
) -> kv::Result<Vec<postrider_types::Address>> {
    let range = Range::prefix(&key::group_members(address), MAX_GROUP_MEMBERS);
    let pairs = read.range(range).await?;
    let member = |(key, _): &(bytes::Bytes, bytes::Bytes)| {
        let text = key::member_of(key).ok_or_else(|| row::bad_key(key))?;
        directory::stored_address(&text)
    };
    pairs.iter().map(member).collect()
}
