//! The TLS policy of a domain.

use postrider_kv::{self as kv, Read};
use postrider_types::DomainName;
use serde::{Deserialize, Serialize};

use crate::{key, row, view};

/// The policy of a domain that was kept last (MTA-STS, RFC 8461), expired or not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StsPolicy {
    /// The domain.
    pub domain: DomainName,
}

pub(super) async fn answer<R: Read>(
    read: &R,
    query: StsPolicy,
) -> kv::Result<Option<view::StsPolicy>> {
    let row: Option<row::Policy> = row::get(read, &key::policy(&query.domain)).await?;
    Ok(row.map(row::Policy::view))
}
