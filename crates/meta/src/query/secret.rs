//! The secret that all nodes share.

use bytes::Bytes;
use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::{key, row};

/// The secret of [`crate::command::SetSecret`]; None before it was set. Never to be
/// shown or logged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Secret {}

pub(super) async fn answer<R: Read>(read: &R, _query: Secret) -> kv::Result<Option<Bytes>> {
    let row: Option<row::Secret> = row::get(read, &key::secret()).await?;
    Ok(row.map(|row| row.secret))
}
