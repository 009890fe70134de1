//! Moves bodies into an object that is durable already.

use std::collections::BTreeMap;

use postrider_kv::{self as kv, Txn};
use postrider_types::{BodyId, Millis};
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::body::{self, Freed};
use crate::stop::Stop;
use crate::view::Place;
use crate::{key, limit, row};

/// Tells that bodies now lie in an object, and frees their old place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Relocate {
    /// The new object's key; the object is durable. It ends with an id that was
    /// made before the upload began, in 32 hexadecimal digits: refused with
    /// [`Refusal::BodyExpired`] where that is too long ago, as the object may have
    /// been swept. A second command may add bodies to it as long as it is not dead.
    pub key: String,
    /// Its length in bytes.
    pub length: u64,
    /// The bodies, at most 10,000. If none of them moves the object is known as
    /// dead, so that it is removed. One that was removed meanwhile, or no longer lies at `from`,
    /// is passed over.
    pub moves: Vec<Move>,
}

/// One body of [`Relocate`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The body.
    pub body: BodyId,
    /// Where it lay when it was read.
    pub from: Place,
    /// Its first byte in the new object.
    pub offset: u64,
    /// Its stored bytes there.
    pub length: u64,
}

/// What [`Relocate`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relocated {
    /// Bodies that moved.
    pub moved: u32,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: Relocate,
) -> Result<Relocated, Stop> {
    if command.moves.len() > limit::MOVES || command.key.is_empty() {
        return Err(Refusal::Limit(format!(
            "at most {} bodies move at once, to an object with a key",
            limit::MOVES
        ))
        .into());
    }
    // The same bound as for uploads: an object that nobody knows is swept later.
    // The sweep goes by the key; the command may be much younger than that.
    let expired = |made: Millis| cx.now.since(made) > limit::UPLOAD_AGE;
    if expired(cx.id.made_at()) || begun(&command.key).is_none_or(expired) {
        return Err(Refusal::BodyExpired.into());
    }
    let before = row::get::<row::Object>(txn, &key::object(&command.key)).await?;
    let mut object = match &before {
        Some(object) if object.dead_since.is_some() || object.length != command.length => {
            let text = "the object is dead, or of another length: each object needs a new key";
            return Err(Refusal::Invalid(text.into()).into());
        }
        Some(object) => object.clone(),
        None => row::Object {
            length: command.length,
            ..row::Object::default()
        },
    };
    let mut freed: BTreeMap<String, Freed> = BTreeMap::new();
    let moved = move_bodies(txn, &command, &mut object, &mut freed).await?;
    if object.bodies == 0 {
        object.dead_since = Some(cx.latest.0);
    }
    body::put_object(txn, &command.key, before.as_ref(), &object);
    for (old, freed) in freed {
        body::free_in_object(txn, &old, freed, cx.latest).await?;
    }
    Ok(Relocated { moved })
}

/// When the upload of an object began: what the id at its key's end tells.
fn begun(key: &str) -> Option<Millis> {
    let (_, id) = key.rsplit_once('/')?;
    let digits = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = u128::from_str_radix(id, 16).ok().filter(|_| digits)?;
    Some(BodyId::from_bytes(id.to_be_bytes()).made_at())
}

async fn move_bodies<T: Txn>(
    txn: &mut T,
    command: &Relocate,
    object: &mut row::Object,
    freed: &mut BTreeMap<String, Freed>,
) -> kv::Result<u32> {
    let keys: Vec<_> = command.moves.iter().map(|m| key::body(m.body)).collect();
    let rows = row::get_many::<row::Body>(txn, &keys).await?;
    let mut moved = BTreeMap::new();
    for (step, row) in command.moves.iter().zip(rows) {
        let Some(mut row) = row.filter(|row| row.place() == step.from) else {
            continue;
        };
        let within = step.offset.checked_add(step.length);
        let to_itself = row.object == command.key;
        if moved.contains_key(&step.body)
            || to_itself
            || within.is_none_or(|end| end > object.length)
        {
            continue;
        }
        moved.insert(step.body, ());
        if row.is_inline() {
            body::free_inline(txn, step.body, &row);
        } else {
            txn.delete(key::content(&row.object, row.offset));
            let old = std::mem::take(&mut row.object);
            freed.entry(old).or_default().count(row.length);
        }
        row.object.clone_from(&command.key);
        row.offset = step.offset;
        row.length = step.length;
        object.live += step.length;
        object.bodies += 1;
        body::put_content(txn, &command.key, step.offset, step.body);
        row::put(txn, key::body(step.body), &row);
    }
    Ok(u32::try_from(moved.len()).unwrap_or(u32::MAX))
}
