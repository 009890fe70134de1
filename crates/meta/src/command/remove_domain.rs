//! Removes a local domain that nothing depends on.

use postrider_kv::Txn;
use postrider_types::DomainName;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;

/// Removes a domain; refused while it has accounts, aliases or groups.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveDomain {
    /// Its name.
    pub name: DomainName,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: RemoveDomain,
) -> Result<(), Stop> {
    Err(Stop::unwritten("RemoveDomain"))
}
