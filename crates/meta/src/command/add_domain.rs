//! Adds a local domain.

use postrider_kv::Txn;
use postrider_types::{Address, DomainId, DomainName};
use serde::{Deserialize, Serialize};

use crate::stop::Stop;
use crate::{Context, Refusal, Relay, directory, key, row};

/// Adds a local domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddDomain {
    /// Its name.
    pub name: DomainName,
    /// Takes mail from local senders only.
    pub internal: bool,
    /// Who receives mail for unknown local parts: an address of a local domain,
    /// be it this one.
    pub catch_all: Option<Address>,
    /// Where mail for unknown local parts goes on to; not with a catch-all.
    pub relay: Option<Relay>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: AddDomain,
) -> Result<DomainId, Stop> {
    if directory::domain(txn, &command.name).await?.is_some() {
        return Err(Refusal::Exists(format!("the domain {}", command.name)).into());
    }
    let own = |address: &&Address| *address.domain() == command.name;
    if let Some(outside) = command.catch_all.as_ref().filter(|a| !own(a)) {
        directory::must_be_local(txn, std::slice::from_ref(outside)).await?;
    }
    directory::one_for_the_unknown(command.catch_all.is_some(), command.relay.is_some())?;
    let id = row::next_number(txn, key::last_domain()).await?;
    let domain = row::Domain {
        id,
        internal: command.internal,
        catch_all: command.catch_all.map(|address| address.to_string()),
        created: cx.now.0,
        relay: command.relay.as_ref().map(row::Relay::new),
    };
    row::put(txn, key::domain(&command.name), &domain);
    Ok(DomainId(id))
}
