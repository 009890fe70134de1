//! Forgets an object that was removed from the object store.

use postrider_kv::Txn;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;

/// Forgets a dead object after it was removed from the object store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForgetObject {
    /// Its key.
    pub key: String,
}

pub(super) async fn apply<T: Txn>(
    _txn: &mut T,
    _cx: &Context,
    _command: ForgetObject,
) -> Result<(), Stop> {
    Err(Stop::unwritten("ForgetObject"))
}
