//! Keys of bodies and of the objects that they lie in. What lies under them stands in [`super`].

use postrider_kv::key::Parts;
use postrider_types::{BodyId, Millis};

use super::global;

pub(crate) fn bodies() -> Vec<u8> {
    global(b'b').build()
}

pub(crate) fn body(id: BodyId) -> Vec<u8> {
    global(b'b').id(id.as_bytes()).build()
}

pub(crate) fn summaries() -> Vec<u8> {
    global(b's').build()
}

pub(crate) fn summary(id: BodyId) -> Vec<u8> {
    global(b's').id(id.as_bytes()).build()
}

pub(crate) fn inlines() -> Vec<u8> {
    global(b'i').build()
}

pub(crate) fn inline(id: BodyId) -> Vec<u8> {
    global(b'i').id(id.as_bytes()).build()
}

/// The id in a key of [`body`], [`summary`] or [`inline`].
pub(crate) fn body_of(key: &[u8]) -> Option<BodyId> {
    Parts::of(key.get(2..)?).id().map(BodyId::from_bytes)
}

/// Counter: bytes of inline bodies.
pub(crate) fn inline_usage() -> Vec<u8> {
    global(b'u').build()
}

pub(crate) fn objects() -> Vec<u8> {
    global(b'o').build()
}

pub(crate) fn object(key: &str) -> Vec<u8> {
    global(b'o').str(key).build()
}

/// The object's key in a key of [`object`], [`content`] or [`half_empty`].
pub(crate) fn object_of(key: &[u8]) -> Option<String> {
    Parts::of(key.get(2..)?).str()
}

pub(crate) fn all_contents() -> Vec<u8> {
    global(b'p').build()
}

/// All live bodies of an object.
pub(crate) fn contents(object: &str) -> Vec<u8> {
    global(b'p').str(object).build()
}

pub(crate) fn content(object: &str, offset: u64) -> Vec<u8> {
    global(b'p').str(object).u64(offset).build()
}

pub(crate) fn dead_objects() -> Vec<u8> {
    global(b'x').build()
}

/// The end (excluded) of the objects that died before `moment`.
pub(crate) fn dead_before(moment: Millis) -> Vec<u8> {
    global(b'x').u64(moment.0).build()
}

pub(crate) fn dead_object(since: Millis, object: &str) -> Vec<u8> {
    global(b'x').u64(since.0).str(object).build()
}

/// The moment and the object's key in a key of [`dead_object`].
pub(crate) fn dead_object_of(key: &[u8]) -> Option<(Millis, String)> {
    let mut parts = Parts::of(key.get(2..)?);
    Some((Millis(parts.u64()?), parts.str()?))
}

pub(crate) fn half_empties() -> Vec<u8> {
    global(b'h').build()
}

pub(crate) fn half_empty(object: &str) -> Vec<u8> {
    global(b'h').str(object).build()
}
