//! How much inline bodies occupy.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::{key, row};

/// Bytes that inline bodies occupy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InlineUsage {}

pub(super) async fn answer<R: Read>(read: &R, _query: InlineUsage) -> kv::Result<u64> {
    row::counter(read, &key::inline_usage()).await
}
