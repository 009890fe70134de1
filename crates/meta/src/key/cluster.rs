//! Keys of the cluster: its nodes, tokens, leases and what all nodes share. What lies under them stands in [`super`].

use postrider_kv::key::Parts;
use postrider_types::NodeId;

use super::global;

pub(crate) fn cluster() -> Vec<u8> {
    global(b'C').build()
}

/// The version that all nodes obey.
pub(crate) fn version() -> Vec<u8> {
    global(b'V').build()
}

/// All nodes by id, removed ones too.
pub(crate) fn nodes() -> Vec<u8> {
    global(b'c').build()
}

pub(crate) fn node(id: NodeId) -> Vec<u8> {
    global(b'c').u64(id.0).build()
}

/// The id in a key of [`node`].
pub(crate) fn node_of(key: &[u8]) -> Option<NodeId> {
    Parts::of(key.get(2..)?).u64().map(NodeId)
}

/// All join tokens.
pub(crate) fn tokens() -> Vec<u8> {
    global(b'T').build()
}

pub(crate) fn token(hash: &[u8; 32]) -> Vec<u8> {
    let (halves, _) = hash.as_chunks::<16>();
    let key = halves.iter().fold(global(b'T'), |key, half| key.id(half));
    key.build()
}

/// All leases by name.
pub(crate) fn leases() -> Vec<u8> {
    global(b'l').build()
}

pub(crate) fn lease(name: &str) -> Vec<u8> {
    global(b'l').str(name).build()
}

/// The name in a key of [`lease`].
pub(crate) fn lease_of(key: &[u8]) -> Option<String> {
    Parts::of(key.get(2..)?).str()
}

/// The id of the object store.
pub(crate) fn store_name() -> Vec<u8> {
    global(b'S').build()
}

/// The secret of all nodes.
pub(crate) fn secret() -> Vec<u8> {
    global(b'R').build()
}

/// Whether the rows under `key` are renewed all the time though nobody does
/// anything: leases and the verdicts of commands. A state that lacks their last
/// changes is as good.
pub fn is_upkeep(key: &[u8]) -> bool {
    matches!(key.get(..2), Some(b"gl" | b"gv"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_and_verdicts_are_upkeep() {
        use postrider_types::{CommandId, Millis};
        let verdict = super::super::verdict(CommandId::floor(Millis(9)));
        assert!(is_upkeep(&lease("background")) && is_upkeep(&verdict));
        assert!(!is_upkeep(&cluster()) && !is_upkeep(&token(&[1; 32])));
        assert!(!is_upkeep(b"") && !is_upkeep(b"g"));
    }
}
