//! Whether an account may use a sender address.

use postrider_kv::{self as kv, Range, Read};
use postrider_types::{AccountId, Address, Millis};
use serde::{Deserialize, Serialize};

use crate::directory::{self, MAX_GROUP_MEMBERS};
use crate::row::Holder;
use crate::view::AccountState;
use crate::{key, row};

/// Whether an account may use `sender` as its sender: its own address (with any
/// plus detail), or an alias or group of which a target, without its plus
/// detail, is the account's address. Never for an account that is closed, even if
/// its session began before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MaySendAs {
    /// The account.
    pub account: AccountId,
    /// The sender's address.
    pub sender: Address,
    /// The moment, for expiry dates.
    pub now: Millis,
}

pub(super) async fn answer<R: Read>(read: &R, query: MaySendAs) -> kv::Result<bool> {
    let MaySendAs {
        account,
        sender,
        now,
    } = query;
    let own = row::get::<row::Account>(read, &key::account(account)).await?;
    let Some(own) = own.filter(|own| own.state() == AccountState::Active && !own.expired(now))
    else {
        return Ok(false);
    };
    let own = directory::stored_address(&own.address)?;
    let base = sender.without_detail().map(|(base, _)| base);
    for candidate in [Some(sender), base].into_iter().flatten() {
        let Some(name) = directory::holder(read, &candidate).await? else {
            continue;
        };
        return match name.holder() {
            Holder::Account => Ok(name.account == account.0),
            Holder::Alias => is_target(read, &candidate, &own).await,
            Holder::Group => is_member(read, &candidate, &own).await,
            Holder::Unknown => Ok(false),
        };
    }
    Ok(false)
}

/// Whether mail to `target` goes to the account `own`, be it into one of its
/// mailboxes.
fn leads_to(target: &Address, own: &Address) -> bool {
    let base = || target.without_detail().map(|(base, _)| base);
    target == own || base().as_ref() == Some(own)
}

async fn is_target<R: Read>(read: &R, alias: &Address, own: &Address) -> kv::Result<bool> {
    let row: Option<row::Alias> = row::get(read, &key::alias(alias)).await?;
    for target in row.unwrap_or_default().targets {
        if leads_to(&directory::stored_address(&target)?, own) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn is_member<R: Read>(read: &R, group: &Address, own: &Address) -> kv::Result<bool> {
    let member = key::group_member(group, own);
    if read.get(&member).await?.is_some() {
        return Ok(true);
    }
    let with_detail = key::group_members_from(group, &format!("{}+", own.local()));
    let range = Range::prefix(&with_detail, MAX_GROUP_MEMBERS);
    for (key, _) in read.range(range).await? {
        let member = key::member_of(&key).ok_or_else(|| row::bad_key(&key))?;
        if leads_to(&directory::stored_address(&member)?, own) {
            return Ok(true);
        }
    }
    Ok(false)
}
