//! Changes a local domain.

use postrider_kv::Txn;
use postrider_types::{Address, DomainName};
use serde::{Deserialize, Serialize};

use super::Change;
use crate::stop::Stop;
use crate::{Context, Relay, directory, key, row};

/// Changes a local domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetDomain {
    /// Its name.
    pub name: DomainName,
    /// Takes mail from local senders only.
    pub internal: Change<bool>,
    /// Who receives mail for unknown local parts: an address of a local domain.
    pub catch_all: Change<Option<Address>>,
    /// Where mail for unknown local parts goes on to; not with a catch-all. It ends
    /// when no mail waits for it any more.
    pub relay: Change<Option<Relay>>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: SetDomain,
) -> Result<(), Stop> {
    let mut domain = directory::local_domain(txn, &command.name).await?;
    if let Change::Set(internal) = command.internal {
        domain.internal = internal;
    }
    if let Change::Set(catch_all) = command.catch_all {
        directory::must_be_local(txn, catch_all.as_slice()).await?;
        domain.catch_all = catch_all.map(|address| address.to_string());
    }
    if let Change::Set(relay) = command.relay {
        if relay.is_none() && domain.relay.is_some() {
            directory::must_have_gone_on(txn, &command.name).await?;
        }
        domain.relay = relay.as_ref().map(row::Relay::new);
    }
    directory::one_for_the_unknown(domain.catch_all.is_some(), domain.relay.is_some())?;
    row::put(txn, key::domain(&command.name), &domain);
    Ok(())
}
