//! When this node's log is cut: what its snapshot holds goes, but for a little that is
//! kept for members that lag, once the archive holds it as well. Had every node cut it
//! before, the death of the one that archives would leave a gap there. A snapshot waits
//! for none of this; what waits is bounded, by bytes and by the room on the disk.
//!
//! Where the archive has a gap and this log still has what is missing, it goes there
//! from here. Cuts nothing that no snapshot of this node holds.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::{Instant, timeout};

use crate::archive::{Archive, Gap};
use crate::error::{Error, Result};
use crate::leader::Core;
use crate::machine::cost;
use crate::notice::Notice;
use crate::settings::Settings;

/// Between looks at an archive that lacks something.
const LOOK: Duration = Duration::from_secs(5);
/// How long a look may take.
const LISTED: Duration = Duration::from_secs(30);
/// How long the log waits for the archive where there is too little room for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Cuts the log.
pub(crate) struct Cutter {
    core: Arc<Core>,
    /// So many entries stay behind a snapshot.
    entries: u64,
    /// So many bytes wait for an archive that is away.
    bytes: u64,
    /// Since when something is to be cut.
    since: Option<Instant>,
    /// What the archive lacked at the last look, and this log has.
    gaps: Vec<Gap>,
    notice: Notice,
}

impl Cutter {
    pub(crate) fn new(core: Arc<Core>, settings: &Settings) -> Self {
        Self {
            core,
            entries: settings.keep_entries,
            bytes: settings.keep_bytes,
            since: None,
            gaps: Vec::new(),
            notice: Notice::default(),
        }
    }

    /// Cuts the log whenever a snapshot allows it. Ends with the node.
    pub(crate) async fn run(mut self) {
        let mut metrics = self.core.raft.data_metrics();
        loop {
            let snapshot = metrics.borrow_and_update().snapshot;
            let due = snapshot.map_or(0, |id| id.index.saturating_sub(self.entries));
            if due <= self.purged() {
                self.since = None;
                if metrics.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let upto = self.may_go(due).await;
            if upto > self.purged() && self.core.raft.trigger().purge_log(upto).await.is_err() {
                // Raft has ended.
                return;
            }
            let cut = async { while self.purged() < due && metrics.changed().await.is_ok() {} };
            // A leader cuts nothing that is on its way to a follower.
            let cut = timeout(LOOK, cut).await;
            if cut.is_ok() && self.purged() < due {
                return;
            }
        }
    }

    fn purged(&self) -> u64 {
        self.core.log.purged().map_or(0, |id| id.index)
    }

    /// Up to which entry the log may be cut now, if a snapshot holds those up to `due`.
    async fn may_go(&mut self, due: u64) -> u64 {
        let Some(archive) = self.core.archive.clone() else {
            return due;
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        let purged = self.purged();
        let held = self.look(&archive, purged).await;
        let held = held.unwrap_or_else(|error| {
            if self.notice.is_due() {
                tracing::info!(%error, "the log stays until the archive can be looked at");
            }
            purged
        });
        if held >= due {
            return due;
        }
        let (entries, bytes) = self.core.log.length(purged, due);
        // What is there anyway when a snapshot is due, and what is kept beyond that.
        let most = self.core.shared.growth.due_at().saturating_add(self.bytes);
        let long = cost(entries, bytes) > most;
        let crowded = since.elapsed() >= PATIENCE && !self.core.has_room_for_snapshot();
        if long || crowded {
            tracing::warn!(
                bytes,
                long,
                "cuts the log before the archive has it: moments in it may be lost for recovery"
            );
            return due;
        }
        held
    }

    /// The entry up to which the archive lacks nothing that this log has. Puts there what
    /// it lacked at the last look, too: a list of what is just being tidied may lack what
    /// is there.
    async fn look(&mut self, archive: &Archive, purged: u64) -> Result<u64> {
        let lineage = timeout(LISTED, archive.lineage()).await;
        let late = |_| Error::Archive("the object store does not list it in time".into());
        let lineage = lineage.map_err(late)??;
        let applied = *self.core.shared.applied.borrow();
        let mut gaps = lineage.gaps();
        gaps.retain(|gap| gap.after >= purged && gap.until <= applied);
        let before = std::mem::replace(&mut self.gaps, gaps);
        for gap in self.gaps.iter().filter(|gap| before.contains(gap)) {
            archive.fill(gap, &lineage, &self.core.log).await?;
        }
        Ok(lineage.held(purged))
    }
}
