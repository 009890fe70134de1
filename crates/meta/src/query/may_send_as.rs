//! Whether an account may use a sender address.

use postrider_kv::{self as kv, Read};
use postrider_types::{AccountId, Address};
use serde::{Deserialize, Serialize};

use crate::row::Holder;
use crate::{directory, key, row};

/// Whether an account may use `sender` as its sender: its own address (with any
/// plus detail), or an alias or group whose targets lead to it directly.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MaySendAs {
    /// The account.
    pub account: AccountId,
    /// The sender's address.
    pub sender: Address,
}

pub(super) async fn answer<R: Read>(read: &R, query: MaySendAs) -> kv::Result<bool> {
    let MaySendAs { account, sender } = query;
    let Some(own) = row::get::<row::Account>(read, &key::account(account)).await? else {
        return Ok(false);
    };
    let base = sender.without_detail().map(|(base, _)| base);
    for candidate in [Some(sender), base].into_iter().flatten() {
        let Some(name) = directory::holder(read, &candidate).await? else {
            continue;
        };
        return match name.holder() {
            Holder::Account => Ok(name.account == account.0),
            Holder::Alias => {
                let alias = row::get::<row::Alias>(read, &key::alias(&candidate)).await?;
                Ok(alias.is_some_and(|alias| alias.targets.contains(&own.address)))
            }
            Holder::Group => {
                let member = directory::stored_address(&own.address)?;
                Ok(read
                    .get(&key::group_member(&candidate, &member))
                    .await?
                    .is_some())
            }
            Holder::Unknown => Ok(false),
        };
    }
    Ok(false)
}
