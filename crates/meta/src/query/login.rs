//! What a login check needs.

use postrider_kv::{self as kv, Read};
use postrider_types::Address;
use serde::{Deserialize, Serialize};

use crate::view::LoginView;

/// What a login check needs. None for an unknown login or an account that is
/// being removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Login {
    /// The login: an account's primary address.
    pub address: Address,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: Login) -> kv::Result<Option<LoginView>> {
    Err(kv::Error::Engine(
        "the query Login is not written yet".into(),
    ))
}
