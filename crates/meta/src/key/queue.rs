//! Keys of the queue, of its indexes, and of the history of messages. What lies under them stands in [`super`].

use postrider_kv::key::{Key, Parts, successor};
use postrider_types::{BodyId, Millis, QueueId};

use super::global;

/// The last [`QueueId`] given out.
pub(crate) fn last_queued() -> Vec<u8> {
    global(b'n').u8(b'q').build()
}

/// All entries, the oldest first.
pub(crate) fn queue() -> Vec<u8> {
    global(b'Q').build()
}

pub(crate) fn queued(id: QueueId) -> Vec<u8> {
    global(b'Q').u64(id.0).build()
}

/// The id in a key of [`queued`], [`ready`], [`alarm`] or [`lease_end`].
pub(crate) fn queued_of(key: &[u8]) -> Option<QueueId> {
    let (_, id) = key.get(2..)?.split_last_chunk::<8>()?;
    Some(QueueId(u64::from_be_bytes(*id)))
}

/// All entries that may be leased some time.
pub(crate) fn all_ready() -> Vec<u8> {
    global(b'k').build()
}

/// Those of a destination, in bulk or others.
fn ready_of_class(destination: &str, bulk: bool) -> Key {
    global(b'k').str(destination).u8(bulk.into())
}

/// Those of a destination that may be leased from `moment` on.
pub(crate) fn ready_from(destination: &str, bulk: bool, moment: Millis) -> Vec<u8> {
    ready_of_class(destination, bulk).u64(moment.0).build()
}

/// The end (excluded) of all those of a destination.
pub(crate) fn ready_end(destination: &str, bulk: bool) -> Vec<u8> {
    successor(&ready_of_class(destination, bulk).build())
}

/// The end (excluded) of those of a destination that may be leased up to `moment`.
pub(crate) fn ready_after(destination: &str, bulk: bool, moment: Millis) -> Vec<u8> {
    let next = moment.0.saturating_add(1);
    ready_of_class(destination, bulk).u64(next).build()
}

/// The entry may be leased from `moment` on.
pub(crate) fn ready(destination: &str, bulk: bool, moment: Millis, id: QueueId) -> Vec<u8> {
    let key = ready_of_class(destination, bulk);
    key.u64(moment.0).u64(id.0).build()
}

/// The moment in a key of [`ready`].
pub(crate) fn ready_of(key: &[u8]) -> Option<Millis> {
    let mut parts = Parts::of(key.get(2..)?);
    parts.str()?;
    parts.u8()?;
    parts.u64().map(Millis)
}

/// All destinations that have entries.
pub(crate) fn destinations() -> Vec<u8> {
    global(b'e').build()
}

pub(crate) fn destination(name: &str) -> Vec<u8> {
    global(b'e').str(name).build()
}

/// The name in a key of [`destination`].
pub(crate) fn destination_of(key: &[u8]) -> Option<String> {
    Parts::of(key.get(2..)?).str()
}

/// All destinations with something to lease some time.
pub(crate) fn all_turns() -> Vec<u8> {
    global(b'K').build()
}

/// Those with something in bulk, or with something else, the first first.
pub(crate) fn turns(bulk: bool) -> Vec<u8> {
    global(b'K').u8(bulk.into()).build()
}

/// Those from `moment` on.
pub(crate) fn turns_from(bulk: bool, moment: Millis) -> Vec<u8> {
    global(b'K').u8(bulk.into()).u64(moment.0).build()
}

/// Something may be leased for the destination from `moment` on.
pub(crate) fn turn(bulk: bool, moment: Millis, destination: &str) -> Vec<u8> {
    let key = global(b'K').u8(bulk.into());
    key.u64(moment.0).str(destination).build()
}

/// The moment and the destination in a key of [`turn`].
pub(crate) fn turn_of(key: &[u8]) -> Option<(Millis, String)> {
    let mut parts = Parts::of(key.get(3..)?);
    Some((Millis(parts.u64()?), parts.str()?))
}

/// All entries whose sender is to hear something some time, the first first.
pub(crate) fn alarms() -> Vec<u8> {
    global(b'y').build()
}

/// Those from `moment` on.
pub(crate) fn alarms_from(moment: Millis) -> Vec<u8> {
    global(b'y').u64(moment.0).build()
}

/// The end (excluded) of those whose sender is to hear something up to `moment`.
pub(crate) fn alarms_after(moment: Millis) -> Vec<u8> {
    global(b'y').u64(moment.0.saturating_add(1)).build()
}

pub(crate) fn alarm(moment: Millis, id: QueueId) -> Vec<u8> {
    global(b'y').u64(moment.0).u64(id.0).build()
}

/// All leases of entries, the first to end first.
pub(crate) fn lease_ends() -> Vec<u8> {
    global(b'j').build()
}

/// Those that end from `moment` on.
pub(crate) fn lease_ends_from(moment: Millis) -> Vec<u8> {
    global(b'j').u64(moment.0).build()
}

/// The end (excluded) of those that have ended at `moment`.
pub(crate) fn lease_ends_after(moment: Millis) -> Vec<u8> {
    global(b'j').u64(moment.0.saturating_add(1)).build()
}

pub(crate) fn lease_end(moment: Millis, id: QueueId) -> Vec<u8> {
    global(b'j').u64(moment.0).u64(id.0).build()
}

/// Where the indexes of the queue by time begin.
pub(crate) fn queue_starts() -> Vec<u8> {
    global(b'B').build()
}

/// The moment in a key of [`alarm`] or [`lease_end`].
pub(crate) fn alarm_of(key: &[u8]) -> Option<Millis> {
    Parts::of(key.get(2..)?).u64().map(Millis)
}

/// What is counted of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueCount {
    /// Entries, held ones included.
    Entries,
    /// Entries that are held.
    Held,
    /// Destinations with entries.
    Destinations,
}

/// Counter: so much of the queue.
pub(crate) fn queue_count(what: QueueCount) -> Vec<u8> {
    let tag = match what {
        QueueCount::Entries => b'e',
        QueueCount::Held => b'h',
        QueueCount::Destinations => b'd',
    };
    global(b'z').u8(tag).build()
}

/// The history of all messages, the oldest first.
pub(crate) fn history() -> Vec<u8> {
    global(b'H').build()
}

/// The history of a message; of another message's, the end (excluded) of those
/// that arrived before it.
pub(crate) fn history_of(body: BodyId) -> Vec<u8> {
    global(b'H').id(body.as_bytes()).build()
}

pub(crate) fn event(body: BodyId, number: u32) -> Vec<u8> {
    global(b'H').id(body.as_bytes()).u32(number).build()
}

/// The body and the number in a key of [`event`].
pub(crate) fn event_of(key: &[u8]) -> Option<(BodyId, u32)> {
    let mut parts = Parts::of(key.get(2..)?);
    Some((BodyId::from_bytes(parts.id()?), parts.u32()?))
}
