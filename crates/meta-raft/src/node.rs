//! A member of the metadata cluster: opens what is on disk, checks that it fits
//! together, runs Raft, and answers as [`Meta`]. On a follower commands go to
//! the leader; queries are answered here.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::storage::RaftStateMachine;
use openraft::{BasicNode, Raft};
use parking_lot::Mutex;
use postrider_meta::{
    Answer, Changes, Command, Error as MetaError, Executed, Meta, Query, ReadAt, Token,
};
use postrider_rpc::Channels;
use postrider_types::{AccountId, Clock, CommandId};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{timeout, timeout_at};

use crate::blocking;
use crate::engine::{Engine, View};
use crate::error::{Error, Result};
use crate::log::{Log, make_dir};
use crate::machine::{Machine, Shared};
use crate::network::Network;
use crate::raft::{LogId, TypeConfig};
use crate::reads::{self, Reads};
use crate::remote::Remote;
use crate::sequencer::{self, Limits, Queue};
use crate::settings::Settings;

/// Entries are replayed at start in pieces of this many bytes.
const REPLAY_BYTES: usize = 8 << 20;

/// What the parts of a node share.
pub(crate) struct Core {
    pub(crate) raft: Raft<TypeConfig, Machine>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Log,
    pub(crate) lease_reads: bool,
    pub(crate) timeout: Duration,
    pub(crate) node_id: u64,
    pub(crate) channels: Channels,
    /// The term in which this node, leading alone, has applied all that was
    /// committed in earlier ones.
    settled: Mutex<Option<u64>>,
}

/// How a node is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// This node's id.
    pub node: u64,
    /// The leader's id, if one is known.
    pub leader: Option<u64>,
    /// This node leads.
    pub leads: bool,
    /// The current term.
    pub term: u64,
    /// The voters' ids.
    pub voters: Vec<u64>,
    /// The index of the last entry in the log.
    pub last_log: u64,
    /// The index up to which the state has come.
    pub applied: u64,
    /// The index of the newest snapshot; none yet: nothing.
    pub snapshot: Option<u64>,
    /// Bytes of the state on disk.
    pub state_bytes: u64,
    /// Commands that wait.
    pub queued: usize,
    /// Bytes of a torn write that were cut off the log at start.
    pub cut_at_start: u64,
    /// Why this node can no longer work; nothing while it can.
    pub failure: Option<String>,
}

/// A member of the metadata cluster.
pub struct Node {
    core: Arc<Core>,
    queue: Queue,
    reads: Reads,
    readers: Arc<Semaphore>,
    sequencer: Mutex<Option<JoinHandle<()>>>,
    tasks: Vec<JoinHandle<()>>,
    /// True once it is ending: streams to others end then.
    closing: watch::Sender<bool>,
    /// Held until the end: one process per folder.
    _lock: File,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.queue.close();
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Node {
    /// Starts a node. Refuses a damaged log; rebuilds a damaged state. A new
    /// folder becomes a cluster of one if the settings say so, else it waits to
    /// be added to one.
    pub async fn start(
        settings: Settings,
        clock: Arc<dyn Clock>,
        channels: Channels,
    ) -> Result<Arc<Self>> {
        settings.check()?;
        let config = Arc::new(settings.raft()?);
        let dir = settings.dir.clone();
        let lock = lock(&dir)?;
        let opening = settings.clone();
        let (log, shared) = blocking::run(move || open(&opening))
            .await
            .map_err(|error| Error::Raft(error.to_string()))??;
        let shared = Arc::new(shared);
        let mut machine = Machine::new(Arc::clone(&shared), Some(log.clone()))?;
        recover(&dir, &log, &shared, &mut machine).await?;
        let fatal = |error: &dyn std::fmt::Display| Error::Raft(error.to_string());
        let network = Network::new(channels.clone());
        let raft = Raft::new(settings.node_id, config, network, log.clone(), machine)
            .await
            .map_err(|error| fatal(&error))?;
        let core = Arc::new(Core {
            raft,
            shared,
            log,
            lease_reads: settings.lease_reads,
            timeout: settings.timeout,
            node_id: settings.node_id,
            channels,
            settled: Mutex::new(None),
        });
        core.begin(&settings).await?;
        let (queue, receiver) = Queue::new(
            settings.queue_commands,
            settings.queue_bytes,
            settings.timeout,
        );
        let limits = Limits {
            commands: settings.batch_commands,
            bytes: settings.batch_bytes,
        };
        let sequencer = sequencer::run(Arc::clone(&core), receiver, clock, limits);
        let (reads, serving) = Reads::new(Arc::clone(&core));
        let snapshots = take_snapshots(Arc::clone(&core));
        Ok(Arc::new(Self {
            queue,
            reads,
            readers: Arc::new(Semaphore::new(settings.readers)),
            sequencer: Mutex::new(Some(tokio::spawn(sequencer))),
            tasks: vec![tokio::spawn(serving), tokio::spawn(snapshots)],
            core,
            closing: watch::channel(false).0,
            _lock: lock,
        }))
    }

    /// How it is doing.
    pub fn health(&self) -> Health {
        let core = &self.core;
        let metrics = core.raft.metrics().borrow_watched().clone();
        let failure = metrics
            .running_state
            .as_ref()
            .err()
            .map(ToString::to_string);
        Health {
            node: core.node_id,
            leader: metrics.current_leader,
            leads: metrics.current_leader == Some(core.node_id),
            term: metrics.current_term,
            voters: metrics.membership_config.voter_ids().collect(),
            last_log: metrics.last_log_index.unwrap_or(0),
            applied: *core.shared.applied.borrow(),
            snapshot: metrics.snapshot.map(|id| id.index),
            state_bytes: core.shared.engine.disk_bytes(),
            queued: self.queue.length(),
            cut_at_start: core.log.cut_at_start(),
            failure: core.log.failure().or(failure).or_else(|| self.ended_task()),
        }
    }

    /// A task that has ended though nobody shut the node down: it panicked.
    fn ended_task(&self) -> Option<String> {
        let sequencer = self.sequencer.lock();
        // Taken by a shutdown.
        let sequencer = sequencer.as_ref()?;
        let ended = sequencer.is_finished() || self.tasks.iter().any(JoinHandle::is_finished);
        ended.then(|| "one of its tasks has ended; the log has the panic".to_owned())
    }

    /// Checks every invariant of the domain over the present state; empty: all hold.
    pub async fn check_consistency(&self) -> Result<Vec<String>, MetaError> {
        self.read(|view| {
            let checked = futures::executor::block_on(postrider_meta::check_consistency(&view));
            checked.map_err(failed)
        })
        .await
    }

    /// BLAKE3 over the state, and the index that it belongs to: equal on members
    /// that have applied the same.
    pub async fn state_hash(&self) -> Result<(u64, [u8; 32]), MetaError> {
        self.read(|view| {
            let index = view.place().map_err(failed)?.applied;
            Ok((index, Engine::hash(&view).map_err(failed)?))
        })
        .await
    }

    /// Has a snapshot written soon, whatever the log's size.
    pub async fn snapshot(&self) -> Result<()> {
        let asked = self.core.raft.trigger().snapshot().await;
        asked.map_err(|error| Error::Raft(error.to_string()))
    }

    /// The Raft handle: membership, leadership, waiting.
    pub fn raft(&self) -> &Raft<TypeConfig, impl RaftStateMachine<TypeConfig> + use<>> {
        &self.core.raft
    }

    /// Adds the services of this node to those of its server.
    pub fn services(self: &Arc<Self>) -> postrider_rpc::tonic::service::Routes {
        crate::service::routes(self)
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Is ready once the node is ending or gone.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closing = self.closing.subscribe();
        async move {
            // An error means that the node is gone.
            let _ = closing.wait_for(|closing| *closing).await;
        }
    }

    /// The leader's read index, for other members.
    pub(crate) async fn own_read_index(&self) -> Result<u64, MetaError> {
        reads::own_index(&self.core).await
    }

    /// Executes here, as leader or not at all.
    pub(crate) async fn execute_here(
        &self,
        id: CommandId,
        command: Command,
    ) -> Result<Executed, MetaError> {
        let executed = self.queue.execute(id, command).await;
        metrics::gauge!("postrider_meta_queue_commands").set(self.queue.length() as f64);
        executed
    }

    /// Ends it: executes what waits, hands leadership over, makes the state durable.
    pub async fn shutdown(&self) -> Result<()> {
        self.queue.close();
        let sequencer = self.sequencer.lock().take();
        if let Some(mut sequencer) = sequencer
            && timeout(self.core.timeout, &mut sequencer).await.is_err()
        {
            sequencer.abort();
        }
        self.core.hand_over().await;
        self.closing.send_replace(true);
        for task in &self.tasks {
            task.abort();
        }
        let stopped = self.core.raft.shutdown().await;
        stopped.map_err(|error| Error::Raft(error.to_string()))?;
        let core = Arc::clone(&self.core);
        let close = move || {
            core.log.close();
            core.shared.engine.persist()
        };
        blocking::run(close)
            .await
            .map_err(|error| Error::Raft(error.to_string()))?
    }

    /// Runs `read` over the present state, away from the runtime's threads.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(View) -> Result<T, MetaError> + Send + 'static,
    ) -> Result<T, MetaError> {
        let permit = Arc::clone(&self.readers).acquire_owned().await;
        let permit = permit.map_err(|error| MetaError::Unavailable(error.to_string()))?;
        let shared = Arc::clone(&self.core.shared);
        let work = move || {
            let _permit = permit;
            read(shared.engine.view())
        };
        let done = blocking::run(work).await;
        done.map_err(|error| MetaError::Failed(format!("reading broke off: {error}")))?
    }

    /// Waits until the state is fresh enough.
    async fn fresh(&self, at: ReadAt) -> Result<(), MetaError> {
        let alone = self.core.leads_alone();
        let index = match at {
            ReadAt::AtLeast(Token(index)) => index,
            ReadAt::Latest if alone.is_some() && alone == *self.core.settled.lock() => {
                return Ok(());
            }
            ReadAt::Latest => self.reads.index().await?,
        };
        let mut applied = self.core.shared.applied.subscribe();
        let reached = applied.wait_for(|applied| *applied >= index).await;
        let reached = reached.map(|_| ());
        reached.map_err(|error| MetaError::Unavailable(error.to_string()))?;
        if at == ReadAt::Latest && alone.is_some() && alone == self.core.leads_alone() {
            *self.core.settled.lock() = alone;
        }
        Ok(())
    }
}

#[async_trait]
impl Meta for Node {
    async fn execute(&self, id: CommandId, command: Command) -> Result<Executed, MetaError> {
        self.core.wait_for_leader().await;
        if self.core.raft.as_leader().is_err()
            && let Some(leader) = self.core.leader_client()
        {
            return leader.execute(id, command).await;
        }
        self.execute_here(id, command).await
    }

    async fn query(&self, query: Query, at: ReadAt) -> Result<(Answer, Token), MetaError> {
        let deadline = tokio::time::Instant::now() + self.core.timeout;
        let late = |_| MetaError::Unavailable("the state is not fresh enough in time".into());
        timeout_at(deadline, self.fresh(at)).await.map_err(late)??;
        let read = self.read(|view| {
            let token = Token(view.place().map_err(failed)?.applied);
            let answer = futures::executor::block_on(postrider_meta::query::answer(&view, query));
            Ok((answer.map_err(failed)?, token))
        });
        timeout_at(deadline, read).await.map_err(late)?
    }

    fn watch(&self, account: AccountId) -> Changes {
        self.core.shared.watchers.watch(account)
    }
}

impl Core {
    /// Begins a cluster of one where the folder is new, and stands for election
    /// at once where there is nobody else.
    async fn begin(&self, settings: &Settings) -> Result<()> {
        let fatal = |error: &dyn std::fmt::Display| Error::Raft(error.to_string());
        let begun = self.raft.is_initialized().await;
        if settings.bootstrap && !begun.map_err(|error| fatal(&error))? {
            let alone = BTreeMap::from([(self.node_id, BasicNode::new(&settings.address))]);
            self.raft
                .initialize(alone)
                .await
                .map_err(|error| fatal(&error))?;
            return Ok(());
        }
        let alone = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            metrics.membership_config.voter_ids().eq([self.node_id])
        };
        if alone {
            let asked = self.raft.trigger().elect(false).await;
            asked.map_err(|error| fatal(&error))?;
        }
        Ok(())
    }

    /// The term in which this node leads and is the only voter. Then its state
    /// is the latest: nobody else can commit, and whoever is told of a write is
    /// told after it was applied here. A second voter needs this node's vote to
    /// lead, which it gets only after it has shown up among the voters here.
    fn leads_alone(&self) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let vote = &metrics.vote;
        let alone = vote.committed
            && vote.leader_id.voted_for == self.node_id
            && metrics.running_state.is_ok()
            && metrics.membership_config.voter_ids().eq([self.node_id]);
        alone.then_some(vote.leader_id.term)
    }

    /// Waits until a leader is known, for at most the time of a command.
    pub(crate) async fn wait_for_leader(&self) {
        let mut metrics = self.raft.metrics();
        let me = self.node_id;
        let known = async {
            loop {
                {
                    let metrics = metrics.borrow_watched();
                    let vote = &metrics.vote;
                    // Its own leadership counts once the vote for it is durable.
                    let ready =
                        |leader| leader != me || vote.committed && vote.leader_id.voted_for == me;
                    if metrics.current_leader.is_some_and(ready) || metrics.running_state.is_err() {
                        return;
                    }
                }
                if metrics.changed().await.is_err() {
                    return;
                }
            }
        };
        // Without one the caller finds out for itself.
        let _ = timeout(self.timeout, known).await;
    }

    /// A client of the leader, if another node leads and its address is known.
    pub(crate) fn leader_client(&self) -> Option<Remote> {
        let address = self.leader_address()?;
        Some(Remote::new(self.channels.clone(), [address], self.timeout))
    }

    /// The leader's address, unless it is this node.
    pub(crate) fn leader_address(&self) -> Option<String> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let leader = metrics.current_leader.filter(|id| *id != self.node_id)?;
        let node = metrics.membership_config.get_node(&leader)?;
        Some(node.addr.clone()).filter(|address| !address.is_empty())
    }

    /// Gives the leadership to another voter, if there is one that keeps up.
    async fn hand_over(&self) {
        let target = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            if metrics.current_leader != Some(self.node_id) {
                return;
            }
            let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
            let progress = metrics.replication.clone().unwrap_or_default();
            let others = progress.into_iter().filter(|(id, _)| voters.contains(id));
            let others = others.filter(|(id, _)| *id != self.node_id);
            others.max_by_key(|(_, matched)| *matched).map(|(id, _)| id)
        };
        let Some(target) = target else {
            return;
        };
        if let Err(error) = self.raft.trigger().transfer_leader(target).await {
            tracing::warn!(%error, "the leadership could not be handed over");
            return;
        }
        let me = self.node_id;
        let wait = self.raft.wait(Some(Duration::from_secs(2)));
        let moved = wait.metrics(|m| m.current_leader.is_some_and(|id| id != me), "hand over");
        if let Err(error) = moved.await {
            tracing::warn!(%error, target, "the leadership was not taken over in time");
        }
    }
}

fn failed(error: postrider_kv::Error) -> MetaError {
    MetaError::Failed(error.to_string())
}

/// Has a snapshot written whenever one is due.
async fn take_snapshots(core: Arc<Core>) {
    loop {
        core.shared.growth.due.notified().await;
        if let Err(error) = core.raft.trigger().snapshot().await {
            tracing::warn!(%error, "no snapshot");
            return;
        }
    }
}

/// Takes the folder for this process.
fn lock(dir: &Path) -> Result<File> {
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
fn open(settings: &Settings) -> Result<(Log, Shared)> {
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

/// Checks that log, state and snapshot fit together, and brings the state to
/// what is known to be committed.
async fn recover(dir: &Path, log: &Log, shared: &Shared, machine: &mut Machine) -> Result<()> {
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
    shared.growth.add(0, log.bytes());
    Ok(())
}
