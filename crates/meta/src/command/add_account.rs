//! Adds an account with its first mailboxes.

use postrider_kv::Txn;
use postrider_types::{AccountId, Address, Millis};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;
use crate::view::QuotaLimit;

/// Adds an account with INBOX and the default mailboxes (subscribed).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddAccount {
    /// Its address; the domain must be local, the address free and without a plus.
    pub address: Address,
    /// The argon2id verifier, in PHC string format.
    pub verifier: String,
    /// Its limits.
    pub quota: QuotaLimit,
    /// From this moment on it is closed.
    pub expires: Option<Millis>,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: AddAccount,
) -> Result<AccountId, Stop> {
    Err(Stop::unwritten("AddAccount"))
}
