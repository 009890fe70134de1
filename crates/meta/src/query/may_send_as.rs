//! Whether an account may use a sender address.

use postrider_kv::{self as kv, Read};
use postrider_types::{AccountId, Address};
use serde::{Deserialize, Serialize};

/// Whether an account may use `sender` as its sender: its own address (with any
/// plus detail), or an alias or group whose targets lead to it directly.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MaySendAs {
    /// The account.
    pub account: AccountId,
    /// The sender's address.
    pub sender: Address,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: MaySendAs) -> kv::Result<bool> {
    Err(kv::Error::Engine(
        "the query MaySendAs is not written yet".into(),
    ))
}
