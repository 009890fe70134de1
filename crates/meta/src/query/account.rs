//! One account.

use postrider_kv::{self as kv, Read};
use postrider_types::Address;
use serde::{Deserialize, Serialize};

use crate::directory;
use crate::view::AccountView;

/// One account by its address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Its primary address.
    pub address: Address,
}

pub(super) async fn answer<R: Read>(read: &R, query: Account) -> kv::Result<Option<AccountView>> {
    match directory::account(read, &query.address).await? {
        Some((id, account)) => directory::account_view(read, id, account).await.map(Some),
        None => Ok(None),
    }
}
