//! Moves bodies into an object that is durable already.

use postrider_kv::Txn;
use postrider_types::BodyId;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::stop::Stop;
use crate::view::Place;

/// Tells that bodies now lie in an object, and frees their old place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Relocate {
    /// The new object's key; the object is durable.
    pub key: String,
    /// Its length in bytes.
    pub length: u64,
    /// The bodies. One that was removed meanwhile, or no longer lies at `from`,
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
    _txn: &mut T,
    _cx: &Context,
    _command: Relocate,
) -> Result<Relocated, Stop> {
    Err(Stop::unwritten("Relocate"))
}
