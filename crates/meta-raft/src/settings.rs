//! What an operator may set about this node's part of the metadata store.

use std::path::PathBuf;
use std::time::Duration;

use postrider_meta::limit;
use postrider_types::{Version, Versions, human};
use serde::{Deserialize, Serialize};

use crate::engine::Bounds;
use crate::error::{Error, Result};
use crate::log::Layout;

const MIB: u64 = 1 << 20;

/// Settings of a metadata node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The folder for log, state and snapshots. A local disk.
    pub dir: PathBuf,
    /// This node's number within its cluster. Never given to another node, not
    /// even after this one is gone.
    pub node_id: u64,
    /// HOST:PORT at which the other members reach this one. Empty while it is alone.
    pub address: String,
    /// It votes, but leads only as long as no other can. Given by the node's roles.
    #[serde(skip)]
    pub witness: bool,
    /// Begin a new cluster of this node alone where the folder is new.
    pub bootstrap: bool,
    /// How long a command or query may take before it is refused as
    /// unavailable.
    #[serde(with = "human::duration")]
    pub timeout: Duration,
    /// Without a sign of the leader for this long (and up to a third longer) a
    /// member stands for election; at least 150 ms.
    #[serde(with = "human::duration")]
    pub election_timeout: Duration,
    /// Give the bucket the third vote where two nodes have one each, so that either
    /// may fail. Needs an object store with conditional PUT; that it has it is
    /// tried before.
    pub bucket_vote: bool,
    /// Answer reads on the leader without asking a majority each time. Relies
    /// on clocks that run at the same speed.
    pub lease_reads: bool,
    /// The most commands that wait at once.
    pub queue_commands: usize,
    /// The most bytes of commands that wait at once. As many again may wait for
    /// room among them; more are refused at once.
    pub queue_bytes: usize,
    /// The most commands in a batch.
    pub batch_commands: usize,
    /// A batch is closed once it holds this many bytes.
    pub batch_bytes: usize,
    /// The most queries that read at once.
    pub readers: usize,
    /// Bytes of a log segment, at least 1 MiB. Two are allocated ahead.
    #[serde(with = "human::size")]
    pub segment_bytes: u64,
    /// Bytes of log entries kept in memory for the state machine and followers.
    pub log_cache_bytes: usize,
    /// Entries kept in the log behind a snapshot, for followers that lag.
    pub keep_entries: u64,
    /// Bytes that the log may grow beyond that and what `snapshot_bytes` says while the
    /// archive in the object store lacks what is to be cut. With more it is cut, and the
    /// archive may keep a gap.
    #[serde(with = "human::size")]
    pub keep_bytes: u64,
    /// A snapshot is written once the log has grown by this many bytes, and by
    /// as much as the state is long.
    #[serde(with = "human::size")]
    pub snapshot_bytes: u64,
    /// While less than this is free on the disk of `dir`, the node hands the
    /// leadership over and takes no new mail; it does again with a quarter more.
    /// It starts with half of it. 0: whatever is free.
    #[serde(with = "human::size")]
    pub disk_reserve: u64,
    /// Bytes of the state engine's cache.
    #[serde(with = "human::size")]
    pub cache_bytes: u64,
    /// Bytes of writes that each of the state engine's three keyspaces holds in
    /// memory, at least 1 MiB.
    #[serde(with = "human::size")]
    pub buffer_bytes: u64,
    /// Bytes of the state engine's own journal, at least 64 MiB.
    #[serde(with = "human::size")]
    pub journal_bytes: u64,
    /// The cluster's version is not raised above this, so that the release before
    /// can still be gone back to. Not set: it is raised once every node knows more.
    pub hold_version: Option<Version>,
    /// The versions of the cluster that the program works in: no setting, but a
    /// test may play another program.
    #[serde(skip)]
    pub versions: Versions,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("meta"),
            node_id: 1,
            address: String::new(),
            witness: false,
            bootstrap: true,
            timeout: Duration::from_secs(10),
            election_timeout: Duration::from_millis(900),
            bucket_vote: true,
            lease_reads: false,
            queue_commands: 4096,
            queue_bytes: 64 << 20,
            batch_commands: 256,
            batch_bytes: 4 << 20,
            readers: 32,
            segment_bytes: 32 * MIB,
            log_cache_bytes: 8 << 20,
            keep_entries: 128,
            keep_bytes: 1024 * MIB,
            snapshot_bytes: 64 * MIB,
            disk_reserve: 256 * MIB,
            cache_bytes: 64 * MIB,
            buffer_bytes: 16 * MIB,
            journal_bytes: 128 * MIB,
            hold_version: None,
            versions: Versions::PROGRAM,
        }
    }
}

impl Settings {
    /// Checks every range.
    pub fn check(&self) -> Result<()> {
        let rules = [
            (
                "timeout",
                // A command is repeated under its id until then.
                !self.timeout.is_zero() && self.timeout <= limit::VERDICTS / 2,
                "must be longer than zero and at most 5m",
            ),
            (
                "election_timeout",
                self.election_timeout >= Duration::from_millis(150),
                "must be at least 150ms",
            ),
            (
                "queue_commands",
                self.queue_commands >= 1,
                "must be at least 1",
            ),
            (
                "queue_bytes",
                self.queue_bytes >= 1 << 20 && self.queue_bytes <= 1 << 32,
                "must be from 1 MiB to 4 GiB",
            ),
            (
                "batch_commands",
                self.batch_commands >= 1,
                "must be at least 1",
            ),
            (
                "batch_bytes",
                // An entry that cannot be sent stops every follower: a batch may be
                // twice this and one large command more.
                self.batch_bytes >= 1 && self.batch_bytes <= 16 << 20,
                "must be from 1 byte to 16 MiB",
            ),
            (
                "readers",
                (1..=512).contains(&self.readers),
                "must be from 1 to 512",
            ),
            (
                "segment_bytes",
                (MIB..=1 << 30).contains(&self.segment_bytes)
                    && self.segment_bytes.is_multiple_of(4096),
                "must be from 1 MiB to 1 GiB and a multiple of 4096",
            ),
            (
                "buffer_bytes",
                self.buffer_bytes >= MIB,
                "must be at least 1 MiB",
            ),
            (
                "journal_bytes",
                self.journal_bytes >= 64 * MIB,
                "must be at least 64 MiB",
            ),
        ];
        for (name, holds, reason) in rules {
            if !holds {
                return Err(Error::Setting {
                    name,
                    reason: reason.into(),
                });
            }
        }
        Ok(())
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout {
            segment_bytes: self.segment_bytes,
            cache_bytes: self.log_cache_bytes,
        }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            cache_bytes: self.cache_bytes,
            buffer_bytes: self.buffer_bytes,
            journal_bytes: self.journal_bytes,
        }
    }

    /// How long a leader may count on a voter that has answered it: that one lets
    /// nobody else lead meanwhile.
    pub(crate) fn lease(&self) -> Duration {
        let silence = u64::try_from(self.election_timeout.as_millis()).unwrap_or(u64::MAX / 4);
        Duration::from_millis(silence * 2 / 3)
    }

    pub(crate) fn raft(&self) -> Result<openraft::Config> {
        // A member waits out the leader's lease, which is as long as the longest
        // timeout, and then its own timeout: from half a lease to a whole one.
        let lease = u64::try_from(self.lease().as_millis()).unwrap_or(u64::MAX / 4);
        let config = openraft::Config {
            cluster_name: "postrider".into(),
            heartbeat_interval: (lease / 5).max(20),
            election_timeout_min: lease / 2,
            election_timeout_max: lease,
            // A leader without a majority falls silent, so that those who still
            // hear it can elect another.
            quorum_loss_probe_interval: Some(2 * lease),
            install_snapshot_timeout: 60_000,
            // The node triggers snapshots itself, by bytes.
            snapshot_policy: openraft::SnapshotPolicy::Never,
            // And cuts the log itself, by what the archive holds.
            max_in_snapshot_log_to_keep: u64::MAX,
            enable_pre_vote: Some(true),
            // Whoever was away for a while asks the others first.
            enable_leader_restore: Some(false),
            // A witness stands for election when it is told to.
            enable_elect: !self.witness,
            ..openraft::Config::default()
        };
        config
            .validate()
            .map_err(|error| Error::Raft(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_fits_well_into_a_message() {
        let of = |batch_bytes| Settings {
            batch_bytes,
            ..Settings::default()
        };
        assert!(of(16 << 20).check().is_ok());
        assert!(of((16 << 20) + 1).check().is_err());
        assert!(of(0).check().is_err());
    }
}
