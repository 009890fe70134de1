//! The section `[backup]`: what the bucket keeps so that the cluster can be
//! recovered from it.

use std::time::Duration;

use postrider_types::human;
use serde::Deserialize;

/// The section `[backup]`. The same on all nodes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backup {
    /// To every moment within this time the cluster can be recovered. Snapshots,
    /// the log and the bodies that were in use are kept as long.
    #[serde(with = "human::duration")]
    pub retention: Duration,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

impl Backup {
    /// Says what is wrong with it, and what is allowed.
    pub(super) fn check(&self) -> Result<(), String> {
        const DAY: u64 = 24 * 3600;
        let seconds = self.retention.as_secs();
        if !(3600..=3660 * DAY).contains(&seconds) {
            return Err("backup.retention may be 1h to 3660d".into());
        }
        Ok(())
    }
}
