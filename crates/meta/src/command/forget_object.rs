//! Forgets an object that was removed from the object store.

use postrider_kv::Txn;
use postrider_types::Millis;
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::stop::Stop;
use crate::{key, row};

/// Forgets a dead object after it was removed from the object store. Refused
/// while a body lives in it; one that is not known is no matter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForgetObject {
    /// Its key.
    pub key: String,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: ForgetObject,
) -> Result<(), Stop> {
    let Some(object) = row::get::<row::Object>(txn, &key::object(&command.key)).await? else {
        return Ok(());
    };
    let Some(since) = object.dead_since else {
        let text = format!("bodies live in the object {}", command.key);
        return Err(Refusal::InUse(text).into());
    };
    txn.delete(key::object(&command.key));
    txn.delete(key::dead_object(Millis(since), &command.key));
    Ok(())
}
