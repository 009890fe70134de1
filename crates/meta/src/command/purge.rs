//! One bounded step of removing what deleted mailboxes and accounts left.

use postrider_kv::Txn;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;

/// One step of purging deleted mailboxes and accounts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Purge {
    /// The most messages to remove, 1 to 1,000.
    pub limit: u32,
}

/// What [`Purge`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// There is more to purge.
    pub more: bool,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: Purge,
) -> Result<Purged, Stop> {
    Err(Stop::unwritten("Purge"))
}
