//! Changes a local domain.

use postrider_kv::Txn;
use postrider_types::{Address, DomainName};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::command::Change;
use crate::stop::Stop;

/// Changes a local domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetDomain {
    /// Its name.
    pub name: DomainName,
    /// Takes mail from local senders only.
    pub internal: Change<bool>,
    /// Who receives mail for unknown local parts.
    pub catch_all: Change<Option<Address>>,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: SetDomain,
) -> Result<(), Stop> {
    Err(Stop::unwritten("SetDomain"))
}
