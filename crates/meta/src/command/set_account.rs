//! Changes an account: password verifier, limits, expiry, state.

use postrider_kv::Txn;
use postrider_types::{Address, Millis};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::command::Change;
use crate::stop::Stop;
use crate::view::{AccountState, QuotaLimit};

/// Changes an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetAccount {
    /// Its address.
    pub address: Address,
    /// The argon2id verifier.
    pub verifier: Change<String>,
    /// Its limits.
    pub quota: Change<QuotaLimit>,
    /// From this moment on it is closed.
    pub expires: Change<Option<Millis>>,
    /// Active or suspended.
    pub state: Change<AccountState>,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: SetAccount,
) -> Result<(), Stop> {
    Err(Stop::unwritten("SetAccount"))
}
