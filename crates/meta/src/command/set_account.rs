//! Changes an account: password verifier, limits, expiry, state.

use postrider_kv::Txn;
use postrider_types::{Address, Millis};
use serde::{Deserialize, Serialize};

use super::Change;
use crate::stop::Stop;
use crate::view::{AccountState, QuotaLimit};
use crate::{Context, Refusal, directory, key, row};

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
    txn: &mut T,
    _cx: &Context,
    command: SetAccount,
) -> Result<(), Stop> {
    let (id, mut account) = directory::existing_account(txn, &command.address).await?;
    if let Change::Set(quota) = command.quota {
        account.quota_bytes = quota.bytes;
        account.quota_messages = quota.messages;
    }
    if let Change::Set(expires) = command.expires {
        account.expires = expires.map(|at| at.0);
    }
    if let Change::Set(state) = command.state {
        if state == AccountState::Removing {
            let text = "an account is made active or suspended; to remove it use RemoveAccount";
            return Err(Refusal::Invalid(text.into()).into());
        }
        account.set_state(state);
    }
    row::put(txn, key::account(id), &account);
    if let Change::Set(verifier) = command.verifier {
        row::put(txn, key::credentials(id), &row::Credentials { verifier });
    }
    Ok(())
}
