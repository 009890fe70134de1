//! Adds an alias or replaces its targets.

use postrider_kv::Txn;
use postrider_types::Address;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;

/// Adds an alias or replaces its targets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetAlias {
    /// The alias; the domain must be local, the address free or an alias.
    pub address: Address,
    /// Where its mail goes, 1 to 100 addresses.
    pub targets: Vec<Address>,
    /// Refuse if it exists.
    pub only_new: bool,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: SetAlias,
) -> Result<(), Stop> {
    Err(Stop::unwritten("SetAlias"))
}
