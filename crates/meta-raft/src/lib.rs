//! Metadata on Raft: the log, the state engine, snapshots, and the sequencer
//! that evaluates commands on the leader and replicates their effects.
//!
//! A [`Node`] is one member and implements [`postrider_meta::Meta`]. Evaluation
//! itself is the domain's; this crate orders, replicates, stores and answers.

mod batch;
mod blocking;
mod convert;
mod engine;
mod error;
mod log;
mod machine;
mod network;
mod node;
mod payload;
mod raft;
mod reads;
mod remote;
mod runtime;
mod sequencer;
mod service;
mod settings;
pub mod simulation;
mod snapshot;

pub use batch::Batch;
pub use error::{Error, Result};
pub use node::{Health, Node};
pub use raft::{Applied, Entry, LogId, StoredMembership, TypeConfig, Vote};
pub use remote::Remote;
pub use settings::Settings;
