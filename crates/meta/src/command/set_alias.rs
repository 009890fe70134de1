//! Adds an alias or replaces its targets.

use postrider_kv::Txn;
use postrider_types::Address;
use serde::{Deserialize, Serialize};

use crate::directory::{self, MAX_ALIAS_TARGETS};
use crate::row::Holder;
use crate::stop::Stop;
use crate::{Context, Refusal, key, row};

/// Adds an alias or replaces its targets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetAlias {
    /// The alias; the domain must be local, the address free or an alias.
    pub address: Address,
    /// Where its mail goes, 1 to 100 addresses, here or outside.
    pub targets: Vec<Address>,
    /// Refuse if it exists.
    pub only_new: bool,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: SetAlias,
) -> Result<(), Stop> {
    let SetAlias {
        address,
        targets,
        only_new,
    } = command;
    directory::domain_of_new(txn, &address).await?;
    if targets.is_empty() || targets.len() > MAX_ALIAS_TARGETS {
        let text = format!("an alias has 1 to {MAX_ALIAS_TARGETS} targets; a group takes more");
        return Err(Refusal::Invalid(text).into());
    }
    if targets.contains(&address) {
        let text = format!("{address} cannot lead to itself");
        return Err(Refusal::Invalid(text).into());
    }
    let held = directory::holder(txn, &address).await?;
    if only_new || held.is_none_or(|name| name.holder() != Holder::Alias) {
        directory::must_be_free(txn, &address).await?;
    }
    let name = row::Name {
        holder: Holder::Alias.into(),
        account: 0,
    };
    row::put(txn, key::name(&address), &name);
    let targets = targets.iter().map(Address::to_string).collect();
    row::put(txn, key::alias(&address), &row::Alias { targets });
    Ok(())
}
