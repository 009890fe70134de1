//! Builds the replica of a new cluster of one from an archive alone: the snapshot
//! before a moment, an earlier one where that is damaged, and the archived log up to
//! the moment. Reads the archive and changes nothing there; writes a new folder, whose
//! log comes last and makes it count.

use std::sync::Arc;

use openraft::storage::{RaftLogStorage, RaftStateMachine};
use postrider_kv::Buffered;
use postrider_meta::{Command, Context, Outcome, command};
use postrider_types::{CommandId, Millis};

use crate::archive::{Archive, Lineage};
use crate::blocking;
use crate::engine::Progress;
use crate::error::{Error, Result};
use crate::log::{Log, make_dir};
use crate::machine::{Machine, Shared};
use crate::raft::{Entry, LogId, Payload, StoredMembership, Vote, log_id, term};
use crate::settings::Settings;
use crate::snapshot::Stored;

/// What is to be restored.
pub struct Plan {
    /// No batch that was evaluated later; None: all there is.
    pub at: Option<Millis>,
    /// Stop before a piece of the log that is damaged or missing, instead of
    /// refusing.
    pub partial: bool,
    /// What the restored metadata are from then on.
    pub found: command::RefoundCluster,
    /// Now, and the command's id.
    pub now: Millis,
    /// See `now`.
    pub id: CommandId,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A snapshot of so many bytes is loaded.
    Snapshot(u64),
    /// So many pieces of the log of so many were applied.
    Log(usize, usize),
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The id of the node whose replica it is.
    pub node: u64,
    /// The last entry of the archive that it holds.
    pub entry: u64,
    /// When the last batch in it was evaluated.
    pub time: Millis,
    /// Why it ends before what was asked for; None: it does not.
    pub short: Option<String>,
    /// Snapshots that should have been begun with and cannot be used, in words.
    pub damaged: Vec<String>,
}

/// Restores `archive` into the new folder of `settings`, and tells `progress`.
pub async fn restore(
    settings: &Settings,
    archive: &Archive,
    plan: Plan,
    progress: &(dyn Fn(Step) + Send + Sync),
) -> Result<Restored> {
    settings.check()?;
    make_dir(&settings.dir)?;
    let lineage = archive.lineage().await?;
    let Some(newest) = lineage.bases(plan.at).last() else {
        return Err(baseless(&lineage));
    };
    let end = newest.id.index;
    let opening = settings.clone();
    let open = move || Shared::open(&opening.dir, opening.bounds(), opening.snapshot_bytes);
    let shared = Arc::new(blocking::run(open).await.map_err(broken)??);
    let mut machine = Machine::new(Arc::clone(&shared), None)?;
    let mut load = Load {
        archive,
        lineage: &lineage,
        // What is asked for comes after it.
        end: if plan.partial { 0 } else { end },
        damaged: Vec::new(),
    };
    let (base, stored) = load.base(plan.at, &shared, progress).await?;
    let damaged = load.damaged;
    let installed = machine.install_snapshot(&stored.meta(), stored).await;
    installed.map_err(|error| Error::Restore(error.to_string()))?;
    let mut replay = Replay {
        archive,
        machine: &mut machine,
        at: plan.at,
        end,
        last: base,
    };
    let replayed = replay.run(&lineage, plan.partial, progress).await;
    let short = replayed.map_err(|error| beside(&damaged, error))?;
    let reached = shared.engine.progress()?;
    let node = refound(&shared, plan, &reached).await?;
    finish(settings, &shared, node).await?;
    Ok(Restored {
        node,
        entry: reached.applied.map_or(0, |id| id.index),
        time: reached.time,
        short,
        damaged,
    })
}

/// Why there is no snapshot to begin with.
fn baseless(lineage: &Lineage) -> Error {
    let cluster = &lineage.cluster;
    Error::Restore(match lineage.oldest() {
        Some(_) => format!(
            "the archive of cluster {cluster} does not reach back to that moment: choose one \
             after its oldest snapshot"
        ),
        None => format!("the archive of cluster {cluster} holds no snapshot"),
    })
}

/// The search for a snapshot to begin with.
struct Load<'a> {
    archive: &'a Archive,
    lineage: &'a Lineage,
    /// So far the log has to lead from it.
    end: u64,
    /// Those that cannot be used, in words.
    damaged: Vec<String>,
}

impl Load<'_> {
    /// Fetches the last snapshot that is whole. It and its last entry.
    async fn base(
        &mut self,
        at: Option<Millis>,
        shared: &Arc<Shared>,
        progress: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<(LogId, Stored)> {
        for base in self.lineage.bases(at).iter().rev() {
            let reach = self.lineage.reach(base.id.index);
            if reach < self.end {
                self.damaged.push(format!(
                    "from the snapshot {} the archived log leads to entry {reach} only",
                    base.key
                ));
                // Nor does it lead farther from any before.
                break;
            }
            progress(Step::Snapshot(base.bytes));
            let draft = shared.snapshots.draft();
            match self.archive.fetch(base, draft.path()).await {
                Ok(stored) => return Ok((base.id, stored.of(draft))),
                Err(error @ Error::Snapshot { .. }) => {
                    tracing::warn!(%error, "begins with an earlier snapshot");
                    self.damaged.push(error.to_string());
                }
                // The store or this machine, which a look does mend.
                Err(error) => return Err(error),
            }
        }
        Err(Error::Restore(format!(
            "no snapshot can be begun with: {}. Nothing was recovered. Mend one from a copy of \
             the bucket, choose an earlier moment (--at), or have it end before that (--partial)",
            self.damaged.join("; ")
        )))
    }
}

/// The error of a replay, with the snapshots that would have spared it.
fn beside(damaged: &[String], error: Error) -> Error {
    match error {
        Error::Restore(text) if !damaged.is_empty() => {
            Error::Restore(format!("{}; {text}", damaged.join("; ")))
        }
        error => error,
    }
}

/// The archived log on its way into the state.
struct Replay<'a> {
    archive: &'a Archive,
    machine: &'a mut Machine,
    at: Option<Millis>,
    /// Up to this entry all belongs to what is asked for, whatever a clock that
    /// jumped says.
    end: u64,
    /// The last entry applied.
    last: LogId,
}

impl Replay<'_> {
    /// Applies what follows. Why it ends before what is asked for, if it does.
    async fn run(
        &mut self,
        lineage: &Lineage,
        partial: bool,
        progress: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<Option<String>> {
        let from = self.last.index;
        let pieces = lineage.pieces.iter().filter(|piece| piece.last > from);
        let pieces: Vec<_> = pieces.copied().collect();
        for (done, piece) in pieces.iter().enumerate() {
            progress(Step::Log(done, pieces.len()));
            if piece.last <= self.last.index {
                continue;
            }
            let mut stop = None;
            if piece.first > self.last.index + 1 {
                stop = Some(Error::Restore(format!(
                    "the archived log has a gap: entries {} to {} are missing",
                    self.last.index + 1,
                    piece.first - 1
                )));
            }
            let entries = match stop {
                Some(stop) => Err(stop),
                None => self.archive.entries(piece).await,
            };
            let error = match entries {
                Ok(entries) => match self.apply(entries).await? {
                    true => continue,
                    false => return Ok(None),
                },
                Err(error) => error,
            };
            // Only what a look would not mend ends it early.
            let damage = matches!(error, Error::Piece { .. } | Error::Restore(_));
            if !damage {
                return Err(error);
            }
            if !partial {
                return Err(Error::Restore(format!(
                    "{error}. Nothing was recovered. Mend it from a copy of the bucket, choose an \
                     earlier moment (--at), or have it end before that (--partial)"
                )));
            }
            return Ok(Some(error.to_string()));
        }
        progress(Step::Log(pieces.len(), pieces.len()));
        Ok(None)
    }

    /// Applies entries that are not applied yet; false once the moment is reached.
    async fn apply(&mut self, entries: Vec<Entry>) -> Result<bool> {
        let mut wanted = Vec::new();
        let mut reached = false;
        for entry in entries {
            if entry.log_id.index <= self.last.index {
                continue;
            }
            if let (Some(at), Payload::Normal(batch)) = (self.at, &entry.payload)
                && entry.log_id.index > self.end
            {
                let contents = batch.decode().map_err(Error::Restore)?;
                if contents.time > at {
                    reached = true;
                    break;
                }
            }
            self.last = entry.log_id;
            wanted.push(entry);
        }
        if !wanted.is_empty() {
            let replayed = self.machine.replay(wanted).await;
            replayed.map_err(|error| Error::Restore(error.to_string()))?;
        }
        Ok(!reached)
    }
}

/// Makes the state that of a new cluster, under an entry and a term that the old one
/// never had. The id of its node.
async fn refound(shared: &Arc<Shared>, plan: Plan, reached: &Progress) -> Result<u64> {
    let engine = |error: postrider_kv::Error| Error::Engine(error.to_string());
    let view = shared.engine.view();
    let context = Context {
        now: plan.now,
        latest: plan.now,
        id: plan.id,
        version: postrider_meta::version(&view).await.map_err(engine)?,
    };
    let mut transaction = Buffered::new(view);
    let address = plan.found.node.address.clone();
    let command = Command::RefoundCluster(plan.found);
    let evaluated = postrider_meta::evaluate(&mut transaction, &context, command);
    let verdict = evaluated.await.map_err(engine)?.verdict;
    let verdict = verdict.map_err(|error| Error::Restore(error.to_string()))?;
    let node = match verdict {
        Ok(Outcome::RefoundCluster(node)) => node.0,
        Ok(_) => return Err(Error::Restore("the metadata gave a wrong answer".into())),
        Err(refusal) => return Err(Error::Restore(refusal.to_string())),
    };
    let ops = transaction.into_ops().await.map_err(engine)?;
    let last = reached.applied.unwrap_or_else(|| log_id(0, 0));
    let id = log_id(term(&last) + 1, last.index + 1);
    let members = openraft::Membership::new(
        vec![[node].into()],
        std::collections::BTreeMap::from([(node, openraft::BasicNode::new(&address))]),
    );
    let members = members.map_err(|error| Error::Raft(error.to_string()))?;
    let progress = Progress {
        applied: Some(id),
        batch: id.index,
        time: plan.now,
        membership: StoredMembership::new(Some(id), members),
    };
    let shared = Arc::clone(shared);
    let write = move || -> Result<()> {
        shared.engine.write(ops, &progress, true)?;
        shared.snapshots.write(&shared.engine.view())?;
        shared.engine.persist()
    };
    blocking::run(write).await.map_err(broken)??;
    Ok(node)
}

/// Begins the log of the new cluster: with it the folder is complete.
async fn finish(settings: &Settings, shared: &Arc<Shared>, node: u64) -> Result<()> {
    let path = settings.dir.join("log");
    let layout = settings.layout();
    let last = shared.engine.progress()?.applied;
    let term = last.map_or(0, |id| term(&id));
    let create = move || {
        Log::create(&path, node, layout)?;
        Log::open(&path, node, layout)
    };
    let mut log = blocking::run(create).await.map_err(broken)??;
    // Whoever leads it does so in a later term than any of the old cluster.
    let voted = log.save_vote(&Vote::new(term, node)).await;
    voted.map_err(|error| Error::Raft(error.to_string()))?;
    let close = move || log.close();
    blocking::run(close).await.map_err(broken)
}

fn broken(error: tokio::task::JoinError) -> Error {
    Error::Raft(error.to_string())
}
