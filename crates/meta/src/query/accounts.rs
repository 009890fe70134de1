//! Accounts.

use postrider_kv::{self as kv, Read};
use postrider_types::{AccountId, DomainName};
use serde::{Deserialize, Serialize};

use crate::view::{AccountView, Cursor, Page};
use crate::{directory, key, row};

/// The most accounts of a page.
const MOST: u32 = 1000;

/// Accounts by address, of one domain or of all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accounts {
    /// Only this domain's.
    pub domain: Option<DomainName>,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(read: &R, query: Accounts) -> kv::Result<Page<AccountView>> {
    let prefix = match &query.domain {
        Some(domain) => key::account_names_of(domain),
        None => key::account_names(),
    };
    let range = directory::page(&prefix, query.after.as_ref(), query.limit, MOST);
    let mut rows = row::range::<row::AccountName>(read, range).await?;
    let next = directory::finish(&mut rows, query.limit, MOST);
    let mut items = Vec::with_capacity(rows.len());
    for (_, name) in rows {
        let id = AccountId(name.account);
        if let Some(account) = row::get::<row::Account>(read, &key::account(id)).await? {
            items.push(directory::account_view(read, id, account).await?);
        }
    }
    Ok(directory::paged(items, next))
}
