//! Adds a local domain.

use postrider_kv::Txn;
use postrider_types::{Address, DomainId, DomainName};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;

/// Adds a local domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddDomain {
    /// Its name.
    pub name: DomainName,
    /// Takes mail from local senders only.
    pub internal: bool,
    /// Who receives mail for unknown local parts.
    pub catch_all: Option<Address>,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: AddDomain,
) -> Result<DomainId, Stop> {
    Err(Stop::unwritten("AddDomain"))
}
