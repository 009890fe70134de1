//! The types that openraft is instantiated with, and their short names.

use serde::{Deserialize, Serialize};

use crate::batch::Batch;

openraft::declare_raft_types!(
    /// Raft as this crate uses it: a term has one leader (standard Raft), an
    /// entry carries a [`Batch`] of effects.
    pub TypeConfig:
        D = Batch,
        R = Applied,
        NodeId = u64,
        Node = openraft::BasicNode,
        Term = u64,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = crate::runtime::Runtime,
);

/// What applying an entry answers to the leader that proposed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// False if the batch was dropped: it had been evaluated in another term
    /// or over another state than the one it met.
    pub accepted: bool,
}

/// Term and index of an entry.
pub type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
/// A vote.
pub type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
/// A log entry.
pub type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
/// What an entry carries.
pub(crate) type Payload = openraft::EntryPayload<Batch, u64, openraft::BasicNode>;
/// The members with the entry that made them so.
pub type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
/// What a snapshot contains.
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;

/// A log id from its parts.
pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new_term_index(term, index)
}

/// The term of a log id.
pub(crate) fn term(id: &LogId) -> u64 {
    id.leader_id.term
}
