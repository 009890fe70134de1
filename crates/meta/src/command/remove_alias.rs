//! Removes an alias.

use postrider_kv::Txn;
use postrider_types::Address;
use serde::{Deserialize, Serialize};

use crate::row::Holder;
use crate::stop::Stop;
use crate::{Context, Refusal, directory, key};

/// Removes an alias.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveAlias {
    /// The alias.
    pub address: Address,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: RemoveAlias,
) -> Result<(), Stop> {
    let held = directory::holder(txn, &command.address).await?;
    if held.is_none_or(|name| name.holder() != Holder::Alias) {
        return Err(Refusal::NotFound(format!("alias {}", command.address)).into());
    }
    txn.delete(key::name(&command.address));
    txn.delete(key::alias(&command.address));
    Ok(())
}
