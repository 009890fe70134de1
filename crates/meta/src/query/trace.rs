//! The history of a message.

use postrider_kv::{self as kv, Range, Read};
use postrider_types::BodyId;
use serde::{Deserialize, Serialize};

use crate::view::TraceView;
use crate::{key, limit, row};

/// The history of a message, the earliest first: at most the first 10,000 lines.
/// It is kept for a month from the message's arrival.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trace {
    /// Its body.
    pub id: BodyId,
}

pub(super) async fn answer<R: Read>(read: &R, query: Trace) -> kv::Result<Vec<TraceView>> {
    let range = Range::prefix(&key::history_of(query.id), limit::TRACE);
    let rows = row::range::<row::Event>(read, range).await?;
    Ok(rows.into_iter().filter_map(|(_, row)| row.view()).collect())
}
