//! What a login check needs.

use postrider_kv::{self as kv, Read};
use postrider_types::{Address, Millis};
use serde::{Deserialize, Serialize};

use crate::view::LoginView;
use crate::{directory, key, row};

/// What a login check needs. None for an unknown login or an account that is
/// being removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Login {
    /// The login: an account's primary address.
    pub address: Address,
}

pub(super) async fn answer<R: Read>(read: &R, query: Login) -> kv::Result<Option<LoginView>> {
    let Some((id, account)) = directory::account(read, &query.address).await? else {
        return Ok(None);
    };
    let credentials = row::get::<row::Credentials>(read, &key::credentials(id)).await?;
    Ok(credentials.map(|credentials| LoginView {
        account: id,
        address: query.address,
        verifier: credentials.verifier,
        state: account.state(),
        expires: account.expires.map(Millis),
    }))
}
