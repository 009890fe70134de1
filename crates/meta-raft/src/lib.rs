//! Metadata on Raft: the log, the state engine, snapshots, and the sequencer
//! that evaluates commands on the leader and replicates their effects.
//!
//! A [`Node`] is one member and implements [`postrider_meta::Meta`]. Evaluation
//! itself is the domain's; this crate orders, replicates, stores and answers.

mod acknowledged;
mod archive;
mod batch;
mod blocking;
mod bucket;
mod convert;
mod cut;
mod disk;
mod engine;
mod error;
mod forward;
mod health;
mod leader;
mod link;
mod log;
mod machine;
mod membership;
mod network;
mod node;
mod notice;
mod payload;
mod queue;
mod raft;
mod reads;
mod recover;
mod remote;
mod restore;
mod runtime;
mod sequencer;
mod service;
mod settings;
pub mod simulation;
mod snapshot;
mod standing;
mod upkeep;
mod witness;

pub use archive::{Archive, Archiver, Archiving, Gap, Lineage, Tidier, Verified};
pub use batch::Batch;
pub use bucket::{BUCKET, BucketHealth};
pub use disk::waits_for_room;
pub use error::{Error, Result};
pub use health::Health;
pub use leader::Leader;
pub use membership::{MAX_VOTERS, Member, Members};
pub use node::Node;
pub use raft::{Applied, Entry, LogId, StoredMembership, TypeConfig, Vote};
pub use remote::Remote;
pub use restore::{Plan, Restored, Step, restore};
pub use settings::Settings;
