//! What happens before Raft runs: takes the folder, opens log and state, checks
//! that log, state and snapshot fit together, and brings the state to what is
//! known to be committed. Believes no damaged log; rebuilds a damaged state. Waits
//! until nobody counts on what this node promised before it ended.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use openraft::storage::RaftStateMachine;
use tokio::time::sleep;

use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::log::{Log, make_dir};
use crate::machine::{Machine, Shared};
use crate::raft::{LogId, Payload};
use crate::settings::Settings;

/// Entries are replayed at start in pieces of this many bytes.
const REPLAY_BYTES: usize = 8 << 20;

/// Takes the folder for this process.
pub(crate) fn lock(dir: &Path) -> Result<File> {
    make_dir(dir)?;
    let path = dir.join("lock");
    let file = File::create(&path).map_err(Error::io("cannot create", &path))?;
    file.try_lock().map_err(|error| Error::Folder {
        path: dir.to_owned(),
        reason: format!("another process uses this folder ({error}); stop it first"),
    })?;
    Ok(file)
}

/// Opens log and state, in this order: a damaged log changes nothing.
pub(crate) fn open(settings: &Settings) -> Result<(Log, Shared)> {
    let path = settings.dir.join("log");
    let layout = settings.layout();
    let fresh = !Log::exists(&path);
    if fresh {
        let others = ["state", "snapshots"].map(|name| settings.dir.join(name));
        if let Some(other) = others.iter().find(|other| other.exists()) {
            let reason = format!("the log is missing, but {} is there", other.display());
            return Err(Error::damaged(&path, 0, reason));
        }
        Log::create(&path, settings.node_id, layout)?;
    }
    let log = Log::open(&path, settings.node_id, layout)?;
    let shared = Shared::open(&settings.dir, settings.bounds(), settings.snapshot_bytes)?;
    Ok((log, shared))
}

/// Takes the newest snapshot in the archive for this node's own where the log
/// ends more than `gap` entries before it: the leader would send one anyway.
/// Without the archive, or with one of no use, the node starts as it is.
///
/// A voter may do this by itself, before it has heard of any leader. The snapshot
/// holds entries that are committed, no others. The vote stays, so it votes at
/// most once in a term, as before. Every entry of its log has a lower index than
/// the snapshot's last, so each was either committed, and then the snapshot has
/// it, or is not the committed one at its index and never will be: no majority
/// that was ever counted with this node's answer loses an entry. And its log
/// becomes more up to date, never less: a committed entry at a higher index has
/// no lower term than any entry before it (the terms in a log do not decrease,
/// and whoever leads later has every committed entry). Should the terms say
/// otherwise, something else is wrong, and the snapshot is left alone.
pub(crate) async fn adopt(archive: &Archive, log: &Log, shared: &Shared, gap: u64) {
    let adopted = async {
        let Some(newest) = archive.newest().await? else {
            return Ok(None);
        };
        let mine = log.last();
        let kept = shared
            .snapshots
            .newest()
            .and_then(|stored| stored.applied());
        let reached = mine.max(kept).map_or(0, |id| id.index);
        if newest.id.index <= reached.saturating_add(gap) || Some(newest.id) <= mine.max(kept) {
            return Ok(None);
        }
        tracing::info!(entry = %newest.id, bytes = newest.bytes, "loads a snapshot from the archive");
        let draft = shared.snapshots.draft();
        archive.fetch(&newest, draft.path()).await?;
        shared.snapshots.adopt(draft.path()).map(Some)
    };
    if let Err(error) = adopted.await {
        tracing::warn!(%error, "the archive is of no help; the leader sends what is missing");
    }
}

/// Waits for one lease where this node may have voted with others: a leader that
/// it has answered right before it ended counts on it that long, and may answer
/// reads by itself meanwhile. Raft has forgotten that over the restart, and would
/// help another to lead at once.
pub(crate) async fn wait_out_lease(
    log: &Log,
    shared: &Shared,
    me: u64,
    lease: Duration,
) -> Result<()> {
    if log.vote().is_none() {
        return Ok(());
    }
    let progress = shared.engine.progress()?;
    let mut alone = progress.membership.voter_ids().eq([me]);
    // A change of the members counts for Raft as soon as it is in the log.
    let next = progress.applied.map_or(0, |id| id.index + 1);
    let tail = log.read(next, u64::MAX, usize::MAX).await;
    for entry in tail.map_err(|error| Error::Raft(error.to_string()))? {
        if let Payload::Membership(members) = &entry.payload {
            alone &= members.voter_ids().eq([me]);
        }
    }
    if !alone {
        sleep(lease).await;
    }
    Ok(())
}

/// Checks that log, state and snapshot fit together, and brings the state to
/// what is known to be committed.
pub(crate) async fn recover(
    dir: &Path,
    log: &Log,
    shared: &Shared,
    machine: &mut Machine,
) -> Result<()> {
    let index = |id: &Option<LogId>| id.map(|id| id.index);
    let applied = shared.engine.progress()?.applied;
    let newest = shared.snapshots.newest();
    let snapshot = newest.as_ref().and_then(|stored| stored.applied());
    if applied > log.last() && applied > snapshot {
        let reason = format!(
            "the log ends at entry {:?}, but entry {:?} was applied: its end is lost",
            index(&log.last()),
            index(&applied)
        );
        return Err(Error::damaged(&dir.join("log"), 0, reason));
    }
    if let Some(applied) = applied
        && let Some(entry) = log.id(applied.index)
        && entry != applied
    {
        let reason = format!("the log holds entry {entry}, but entry {applied} was applied");
        return Err(Error::damaged(&dir.join("log"), 0, reason));
    }
    let reached = applied.max(snapshot);
    if index(&log.purged()) > index(&reached) {
        return Err(Error::Unrecoverable {
            path: dir.to_owned(),
            reason: format!(
                "the log begins after entry {:?}, but state and snapshot end at {:?}",
                index(&log.purged()),
                index(&reached)
            ),
        });
    }
    let failed = |error: std::io::Error| match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::Raft(error.to_string()),
    };
    if let Some(newest) = newest
        && snapshot > applied
    {
        tracing::info!(index = ?index(&snapshot), "rebuilding the state from a snapshot");
        let meta = newest.meta();
        machine
            .install_snapshot(&meta, newest)
            .await
            .map_err(failed)?;
    }
    let mut next = index(&reached).map_or(0, |index| index + 1);
    let end = index(&log.committed().min(log.last())).map_or(0, |index| index + 1);
    if next < end {
        tracing::info!(from = next, to = end - 1, "applying the log");
    }
    while next < end {
        let entries = log.read(next, end, REPLAY_BYTES).await.map_err(failed)?;
        let Some(last) = entries.last() else {
            let reason = format!("entry {next} is not in the log");
            return Err(Error::damaged(&dir.join("log"), 0, reason));
        };
        next = last.log_id.index + 1;
        machine.replay(entries).await.map_err(failed)?;
    }
    // What the newest snapshot holds may stay in the log until the archive has it.
    let (_, bytes) = log.length(index(&snapshot).unwrap_or(0), u64::MAX);
    shared.growth.add(0, bytes);
    Ok(())
}
