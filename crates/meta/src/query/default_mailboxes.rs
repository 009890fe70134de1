//! The mailboxes that new accounts get.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::view::DefaultMailbox;

/// The mailboxes that each new account gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DefaultMailboxes {}

pub(super) async fn answer<R: Read>(
    _read: &R,
    _query: DefaultMailboxes,
) -> kv::Result<Vec<DefaultMailbox>> {
    Err(kv::Error::Engine(
        "the query DefaultMailboxes is not written yet".into(),
    ))
}
