//! Which objects belong to the store.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::key;

/// Whether the store knows these objects (live or dead): unknown ones that are
/// old are orphans.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownObjects {
    /// The keys, at most 1,000.
    pub keys: Vec<String>,
}

pub(super) async fn answer<R: Read>(read: &R, query: KnownObjects) -> kv::Result<Vec<bool>> {
    // A key beyond the bound counts as known: nothing is removed by mistake.
    let asked = query.keys.iter().take(MOST);
    let keys: Vec<_> = asked.map(|name| key::object(name)).collect();
    let found = read.get_many(&keys).await?;
    let mut known: Vec<bool> = found.iter().map(Option::is_some).collect();
    known.resize(query.keys.len(), true);
    Ok(known)
}

/// The most keys of a question.
const MOST: usize = 1_000;
