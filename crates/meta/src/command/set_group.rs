//! Adds a distribution group or changes its members.

use postrider_kv::Txn;
use postrider_types::Address;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::command::Change;
use crate::stop::Stop;

/// Adds a group or changes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetGroup {
    /// The group's address.
    pub address: Address,
    /// Members to add.
    pub add: Vec<Address>,
    /// Members to take out.
    pub remove: Vec<Address>,
    /// Takes mail from local senders only.
    pub internal: Change<bool>,
    /// Add the group: refuse if it exists. Otherwise refuse if it does not.
    pub only_new: bool,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: SetGroup,
) -> Result<(), Stop> {
    Err(Stop::unwritten("SetGroup"))
}
