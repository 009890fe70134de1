//! Removes an account at once; its rows are left to [`super::Purge`].

use postrider_kv::Txn;
use postrider_types::{Address, DomainId};
use serde::{Deserialize, Serialize};

use crate::stop::Stop;
use crate::view::AccountState;
use crate::{Context, directory, key, row};

/// Removes an account: gone at once, its rows are purged in the background.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveAccount {
    /// Its address.
    pub address: Address,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: RemoveAccount,
) -> Result<(), Stop> {
    let (id, mut account) = directory::existing_account(txn, &command.address).await?;
    account.set_state(AccountState::Removing);
    row::put(txn, key::account(id), &account);
    txn.delete(key::credentials(id));
    txn.delete(key::name(&command.address));
    txn.delete(key::account_name(&command.address));
    txn.add(key::domain_accounts(DomainId(account.domain)), -1);
    txn.put(key::purge_account(id), row::EMPTY);
    Ok(())
}
