//! One local domain.

use postrider_kv::{self as kv, Read};
use postrider_types::{DomainId, DomainName};
use serde::{Deserialize, Serialize};

use crate::view::DomainView;
use crate::{directory, key, row};

/// A local domain; None where it is not local.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Domain {
    /// Its name.
    pub name: DomainName,
}

pub(super) async fn answer<R: Read>(read: &R, query: Domain) -> kv::Result<Option<DomainView>> {
    match directory::domain(read, &query.name).await? {
        Some(domain) => Ok(Some(view(read, query.name, domain).await?)),
        None => Ok(None),
    }
}

/// The domain `name` as administrators see it.
pub(super) async fn view<R: Read>(
    read: &R,
    name: DomainName,
    domain: row::Domain,
) -> kv::Result<DomainView> {
    let id = DomainId(domain.id);
    let catch_all = domain.catch_all.as_deref();
    Ok(DomainView {
        id,
        name,
        internal: domain.internal,
        catch_all: catch_all.map(directory::stored_address).transpose()?,
        relay: domain.relay.as_ref().map(row::Relay::view).transpose()?,
        accounts: row::counter(read, &key::domain_accounts(id)).await?,
    })
}
