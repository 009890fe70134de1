//! Bodies by id.

use postrider_kv::{self as kv, Read};
use postrider_types::BodyId;
use serde::{Deserialize, Serialize};

use crate::view::BodyView;

/// Bodies by id, in the order asked; None for unknown ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bodies {
    /// Which, at most 1,000.
    pub ids: Vec<BodyId>,
    /// With the bytes of inline ones.
    pub inline: bool,
}

pub(super) async fn answer<R: Read>(
    _read: &R,
    _query: Bodies,
) -> kv::Result<Vec<Option<BodyView>>> {
    Err(kv::Error::Engine(
        "the query Bodies is not written yet".into(),
    ))
}
