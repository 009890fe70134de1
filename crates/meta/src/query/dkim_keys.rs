//! The keys that a domain's mail is signed with.

use postrider_kv::{self as kv, Read};
use postrider_types::DomainName;
use serde::{Deserialize, Serialize};

use crate::view::DkimKey;
use crate::{key, row};

/// The keys of a domain, private parts included; none where it has none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DkimKeys {
    /// The domain.
    pub domain: DomainName,
}

pub(super) async fn answer<R: Read>(read: &R, query: DkimKeys) -> kv::Result<Vec<DkimKey>> {
    let row: Option<row::DkimKeys> = row::get(read, &key::dkim_keys(&query.domain)).await?;
    Ok(row.unwrap_or_default().view())
}
