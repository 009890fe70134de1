//! How much inline bodies occupy.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

/// Bytes that inline bodies occupy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InlineUsage {}

pub(super) async fn answer<R: Read>(_read: &R, _query: InlineUsage) -> kv::Result<u64> {
    Err(kv::Error::Engine(
        "the query InlineUsage is not written yet".into(),
    ))
}
