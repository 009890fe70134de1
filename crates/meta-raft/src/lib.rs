//! Metadata on Raft: log, state engine, sequencer and snapshots.
