//! The state machine as openraft wants it: applies committed entries to the
//! engine in one write, builds and installs snapshots. Evaluates nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{Stream, StreamExt};
use openraft::storage::{
    ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot,
};
use postrider_kv::Op;
use postrider_meta::Watchers;
use postrider_types::AccountId;
use tokio::sync::{Notify, watch};

use crate::blocking;
use crate::engine::{Engine, Progress, View};
use crate::log::Log;
use crate::raft::{
    Applied, Entry, LogId, Payload, SnapshotMeta, StoredMembership, TypeConfig, term,
};
use crate::snapshot::{Snapshots, Stored};

type SnapshotOf = Snapshot<
    openraft::type_config::alias::CommittedLeaderIdOf<TypeConfig>,
    u64,
    openraft::BasicNode,
    Stored,
>;

/// Entries are applied together up to this many bytes.
const APPLY_BYTES: usize = 8 << 20;
/// What an entry costs in the log beside its bytes, for deciding on a snapshot.
const ENTRY_COST: u64 = 4096;

/// What entries of so many bytes cost in the log.
pub(crate) fn cost(entries: u64, bytes: u64) -> u64 {
    bytes + entries * ENTRY_COST
}

/// What the state machine shares with the node around it.
pub(crate) struct Shared {
    /// The state.
    pub(crate) engine: Engine,
    /// The snapshots.
    pub(crate) snapshots: Snapshots,
    /// Who waits for changes of which account.
    pub(crate) watchers: Watchers,
    /// The index up to which the state has come.
    pub(crate) applied: watch::Sender<u64>,
    /// How much the log has grown since the last snapshot.
    pub(crate) growth: Growth,
}

impl Shared {
    /// Opens state and snapshots below `dir`.
    pub(crate) fn open(
        dir: &Path,
        bounds: crate::engine::Bounds,
        snapshot_bytes: u64,
    ) -> crate::Result<Self> {
        let snapshots = Snapshots::open(&dir.join("snapshots"))?;
        let engine = Engine::open(&dir.join("state"), bounds)?;
        let applied = engine.progress()?.applied.map_or(0, |id| id.index);
        let floor = snapshots.newest().map_or(0, |stored| stored.state_bytes());
        let growth = Growth {
            bytes: AtomicU64::new(0),
            least: snapshot_bytes,
            due_at: AtomicU64::new(0),
            due: Notify::new(),
        };
        growth.written(floor);
        Ok(Self {
            engine,
            snapshots,
            watchers: Watchers::new(),
            applied: watch::channel(applied).0,
            growth,
        })
    }
}

/// Says when a snapshot is due: once the log has grown by as much as the state was
/// long in the last one, and at least by a setting. So the work of a snapshot, which
/// is to read the state and not to write its compressed bytes, is about as much as
/// that of taking in the log.
pub(crate) struct Growth {
    bytes: AtomicU64,
    least: u64,
    due_at: AtomicU64,
    /// Told when it becomes due.
    pub(crate) due: Notify,
}

impl Growth {
    /// The log has grown.
    pub(crate) fn add(&self, entries: u64, bytes: u64) {
        let more = cost(entries, bytes);
        let total = self.bytes.fetch_add(more, Ordering::Relaxed) + more;
        if total >= self.due_at() {
            self.due.notify_one();
        }
    }

    /// Whether a snapshot is due and none was begun.
    pub(crate) fn is_due(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.due_at()
    }

    /// How much the log grows until a snapshot is due.
    pub(crate) fn due_at(&self) -> u64 {
        self.due_at.load(Ordering::Relaxed)
    }

    fn begun(&self) {
        self.bytes.store(0, Ordering::Relaxed);
    }

    fn written(&self, bytes: u64) {
        let due = self.least.max(bytes);
        self.due_at.store(due, Ordering::Relaxed);
        metrics::gauge!("postrider_raft_snapshot_due_bytes").set(due as f64);
    }
}

/// The state machine.
pub(crate) struct Machine {
    shared: Arc<Shared>,
    /// The state never runs ahead of what is durable in it.
    log: Option<Log>,
    progress: Progress,
}

/// Entries on their way into the engine.
#[derive(Default)]
struct Group {
    ops: Vec<Op>,
    accounts: Vec<AccountId>,
    answers: Vec<(ApplyResponder<TypeConfig>, Applied)>,
    bytes: usize,
    entries: u64,
    members_changed: bool,
}

impl Machine {
    /// A state machine over `shared`.
    pub(crate) fn new(shared: Arc<Shared>, log: Option<Log>) -> crate::Result<Self> {
        let progress = shared.engine.progress()?;
        Ok(Self {
            shared,
            log,
            progress,
        })
    }

    /// Takes in one entry.
    fn take(&mut self, entry: Entry, group: &mut Group) -> io::Result<Applied> {
        let id = entry.log_id;
        let mut applied = Applied { accepted: true };
        match entry.payload {
            Payload::Blank => {}
            Payload::Membership(membership) => {
                self.progress.membership = StoredMembership::new(Some(id), membership);
                group.members_changed = true;
            }
            Payload::Normal(batch) => {
                let contents = batch.decode().map_err(io::Error::other)?;
                group.bytes += batch.bytes().len();
                // Only over the very state that it was evaluated on.
                applied.accepted =
                    contents.term == term(&id) && contents.over == self.progress.batch;
                if applied.accepted {
                    self.progress.batch = id.index;
                    self.progress.time = contents.time;
                    group.ops.extend(contents.ops);
                    group.accounts.extend(contents.accounts);
                } else {
                    tracing::info!(entry = %id, "dropped a batch of another term or state");
                }
            }
        }
        self.progress.applied = Some(id);
        group.entries += 1;
        Ok(applied)
    }

    /// Writes a group and tells everybody.
    async fn write(&mut self, group: Group) -> io::Result<()> {
        let Some(last) = self.progress.applied else {
            return Ok(());
        };
        if let Some(log) = &self.log {
            log.durable(last.index).await?;
        }
        let (shared, progress) = (Arc::clone(&self.shared), self.progress.clone());
        let (ops, changed) = (group.ops, group.members_changed);
        let write = move || shared.engine.write(ops, &progress, changed);
        blocking::run(write)
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        self.shared.applied.send_replace(last.index);
        for (responder, applied) in group.answers {
            responder.send(applied);
        }
        self.shared.watchers.notify(&group.accounts);
        self.shared.growth.add(group.entries, group.bytes as u64);
        Ok(())
    }

    /// Applies entries that are known to be committed, before Raft runs.
    pub(crate) async fn replay(&mut self, entries: Vec<Entry>) -> io::Result<()> {
        let mut group = Group::default();
        for entry in entries {
            self.take(entry, &mut group)?;
        }
        self.write(group).await
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = Stored;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.progress.applied, self.progress.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>>
            + Unpin
            + openraft::OptionalSend,
    {
        let mut group = Group::default();
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let applied = self.take(entry, &mut group)?;
            group.answers.extend(responder.map(|to| (to, applied)));
            if group.bytes >= APPLY_BYTES {
                self.write(std::mem::take(&mut group)).await?;
            }
        }
        if group.entries > 0 {
            self.write(group).await?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        self.shared.growth.begun();
        Builder {
            view: self.shared.engine.view(),
            shared: Arc::clone(&self.shared),
        }
    }

    async fn install_snapshot(
        &mut self,
        _: &SnapshotMeta,
        stored: Stored,
    ) -> Result<(), io::Error> {
        let shared = Arc::clone(&self.shared);
        let install = move || -> crate::Result<Progress> {
            stored.verify()?;
            // Durable first: the state may never be ahead of log and snapshot.
            let stored = shared.snapshots.keep(stored)?;
            let progress = stored.progress();
            shared.engine.replace(stored.pairs()?, &progress)?;
            shared.growth.begun();
            shared.growth.written(stored.state_bytes());
            Ok(progress)
        };
        self.progress = blocking::run(install)
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        let applied = self.progress.applied.map_or(0, |id| id.index);
        self.shared.applied.send_replace(applied);
        self.shared.watchers.notify_all();
        tracing::info!(applied, "installed a snapshot");
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf>, io::Error> {
        Ok(self.shared.snapshots.newest().map(|stored| Snapshot {
            meta: stored.meta(),
            snapshot: stored,
        }))
    }
}

/// Writes the state as it was when it was asked for, while writes go on.
pub(crate) struct Builder {
    view: View,
    shared: Arc<Shared>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Stored;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf, io::Error> {
        let began = std::time::Instant::now();
        let (view, shared) = (self.view.clone(), Arc::clone(&self.shared));
        let stored = blocking::run(move || shared.snapshots.write(&view))
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        self.shared.growth.written(stored.state_bytes());
        let seconds = began.elapsed().as_secs_f64();
        metrics::histogram!("postrider_raft_snapshot_seconds").record(seconds);
        metrics::gauge!("postrider_raft_snapshot_bytes").set(stored.bytes() as f64);
        tracing::info!(bytes = stored.bytes(), seconds, "wrote a snapshot");
        Ok(Snapshot {
            meta: stored.meta(),
            snapshot: stored,
        })
    }
}
