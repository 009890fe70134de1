//! One account.

use postrider_kv::{self as kv, Read};
use postrider_types::Address;
use serde::{Deserialize, Serialize};

use crate::view::AccountView;

/// One account by its address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Its primary address.
    pub address: Address,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: Account) -> kv::Result<Option<AccountView>> {
    Err(kv::Error::Engine(
        "the query Account is not written yet".into(),
    ))
}
