//! One bounded step of forgetting old verdicts and old removals.

use postrider_kv::Txn;
use postrider_types::CommandId;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;

/// Removes old change-log entries and old dedup rows, a bounded step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trim {
    /// Dedup rows of commands made before this.
    pub dedup_before: CommandId,
}

/// What [`Trim`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trimmed {
    /// There is more to trim.
    pub more: bool,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: Trim,
) -> Result<Trimmed, Stop> {
    Err(Stop::unwritten("Trim"))
}
