//! Removes a local domain that nothing depends on.

use postrider_kv::{Range, Txn};
use postrider_types::{DomainId, DomainName};
use serde::{Deserialize, Serialize};

use crate::stop::Stop;
use crate::{Context, Refusal, directory, key};

/// Removes a domain and the keys that it signs with; refused while it has
/// accounts, aliases or groups.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveDomain {
    /// Its name.
    pub name: DomainName,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: RemoveDomain,
) -> Result<(), Stop> {
    let domain = directory::local_domain(txn, &command.name).await?;
    let names = txn
        .range(Range::prefix(&key::names_of(&command.name), 1))
        .await?;
    if let Some((name, _)) = names.first() {
        let example = key::address_of(name).map_or_else(String::new, |address| address.to_string());
        let text = format!(
            "the domain {} is in use: remove its accounts, aliases and groups first, such as \
             {example}",
            command.name
        );
        return Err(Refusal::InUse(text).into());
    }
    if domain.relay.is_some() {
        directory::must_have_gone_on(txn, &command.name).await?;
    }
    txn.delete(key::domain(&command.name));
    txn.delete(key::dkim_keys(&command.name));
    txn.delete(key::domain_accounts(DomainId(domain.id)));
    Ok(())
}
