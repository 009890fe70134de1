//! A member of the metadata cluster: opens what is on disk, runs Raft, and
//! answers as [`Meta`]. On a follower commands go to the leader; queries are
//! answered here.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use openraft::Raft;
use openraft::storage::RaftStateMachine;
use parking_lot::Mutex;
use postrider_meta::{
    Answer, Changes, Command, Error as MetaError, Executed, Meta, Query, ReadAt, Token,
};
use postrider_rpc::Channels;
use postrider_types::{AccountId, Clock, CommandId};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::archive::Archive;
use crate::blocking;
use crate::bucket::Bucket;
use crate::disk::Disk;
use crate::engine::{Engine, View};
use crate::error::{Error, Result};
use crate::forward;
use crate::leader::{Core, Leader};
use crate::log::Log;
use crate::machine::Machine;
use crate::network::{Addresses, Network};
use crate::queue::{Queue, Room};
use crate::raft::TypeConfig;
use crate::reads::{self, Reads};
use crate::recover;
use crate::sequencer::{self, Limits};
use crate::settings::Settings;
use crate::standing::Standing;
use crate::upkeep;

/// A member of the metadata cluster.
pub struct Node {
    core: Arc<Core>,
    queue: Queue,
    reads: Arc<Reads>,
    standing: Arc<Standing>,
    readers: Arc<Semaphore>,
    sequencer: Mutex<Option<JoinHandle<()>>>,
    tasks: Vec<JoinHandle<()>>,
    /// HOST:PORT at which the other members reach it; empty while it is alone.
    address: String,
    /// Held until the end: one process per folder.
    _lock: File,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.queue.close();
        // Whoever waits for an answer holds the node: nobody does any more.
        if let Some(sequencer) = self.sequencer.get_mut().take() {
            sequencer.abort();
        }
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Node {
    /// Starts a node. Refuses a damaged log; rebuilds a damaged state. A new
    /// folder becomes a cluster of one if the settings say so, else it waits to
    /// be added to one. Where its log ends well before the newest snapshot in
    /// `archive`, it goes on from that.
    pub async fn start(
        settings: Settings,
        clock: Arc<dyn Clock>,
        channels: Channels,
        archive: Option<Archive>,
    ) -> Result<Arc<Self>> {
        settings.check()?;
        let config = Arc::new(settings.raft()?);
        let dir = settings.dir.clone();
        let lock = recover::lock(&dir)?;
        let disk = Disk::new(&dir, settings.disk_reserve);
        disk.wait_for_room().await;
        let opening = settings.clone();
        let (log, shared) = blocking::run(move || recover::open(&opening))
            .await
            .map_err(|error| Error::Raft(error.to_string()))??;
        let shared = Arc::new(shared);
        if let Some(archive) = &archive {
            recover::adopt(archive, &log, &shared, settings.keep_entries).await;
        }
        let mut machine = Machine::new(Arc::clone(&shared), Some(log.clone()))?;
        recover::recover(&dir, &log, &shared, &mut machine).await?;
        let lease = settings.lease();
        recover::wait_out_lease(&log, &shared, settings.node_id, lease).await?;
        let fatal = |error: &dyn std::fmt::Display| Error::Raft(error.to_string());
        let addresses = Addresses::default();
        let (wanted, me) = (settings.bucket_vote, settings.node_id);
        let bucket = archive.as_ref();
        let bucket = bucket.map(|archive| Bucket::new(archive, wanted, lease, me));
        let network = Network::new(
            &channels,
            addresses.clone(),
            archive.clone(),
            bucket.clone(),
        );
        let raft = Raft::new(settings.node_id, config, network, log.clone(), machine)
            .await
            .map_err(|error| fatal(&error))?;
        let core = Arc::new(Core {
            raft,
            shared,
            log,
            lease_reads: settings.lease_reads,
            handing_over: AtomicBool::new(false),
            timeout: settings.timeout,
            node_id: settings.node_id,
            witness: settings.witness,
            versions: settings.versions,
            channels,
            addresses,
            archive,
            bucket,
            lack: Arc::default(),
            clock: Arc::clone(&clock),
            disk,
            nobody_has_room: AtomicBool::new(false),
            leader: watch::channel(Leader::Unknown).0,
            closing: watch::channel(false).0,
            patience: 2 * settings.election_timeout,
            changing: tokio::sync::Mutex::new(()),
            led_since: Mutex::new(None),
            settled: Mutex::new(None),
            witnesses: Mutex::default(),
            outdone: Notify::new(),
            archiving: Mutex::new(None),
        });
        core.begin(&settings).await?;
        let (queue, receiver) = Queue::new(settings.queue_commands, settings.queue_bytes);
        let limits = Limits {
            commands: settings.batch_commands,
            bytes: settings.batch_bytes,
        };
        let sequencer = sequencer::run(Arc::clone(&core), receiver, clock, limits);
        let (reads, serving) = Reads::new(Arc::clone(&core));
        let reads = Arc::new(reads);
        let standing = Arc::new(Standing::new(settings.timeout));
        let mut tasks = upkeep::begin(&core, &standing, &reads, &settings);
        tasks.push(tokio::spawn(serving));
        if settings.witness {
            tasks.push(tokio::spawn(Arc::clone(&core).stand_back()));
        }
        Ok(Arc::new(Self {
            queue,
            reads,
            standing,
            readers: Arc::new(Semaphore::new(settings.readers)),
            sequencer: Mutex::new(Some(tokio::spawn(sequencer))),
            tasks,
            address: settings.address,
            core,
            _lock: lock,
        }))
    }

    /// Whether a replica was ever begun in the folder `dir`.
    pub fn exists(dir: &Path) -> bool {
        Log::exists(&dir.join("log"))
    }

    /// Who leads, as far as this node knows. Changes are told as they come.
    pub fn leader(&self) -> watch::Receiver<Leader> {
        self.core.leader.subscribe()
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

    /// Brings the newest snapshot of this node to the object store, unless one is
    /// there that holds as much. Whether it did. [`Self::archiver`] does this and
    /// more, in operation.
    pub async fn archive(&self) -> Result<bool> {
        match &self.core.archive {
            Some(archive) => archive.carry(self.core.shared.snapshots.newest()).await,
            None => Ok(false),
        }
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

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(crate) fn sequencer(&self) -> &Mutex<Option<JoinHandle<()>>> {
        &self.sequencer
    }

    pub(crate) fn tasks(&self) -> &[JoinHandle<()>] {
        &self.tasks
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Is ready once the node is ending or gone.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closing = self.core.closing.subscribe();
        async move {
            // An error means that the node is gone.
            let _ = closing.wait_for(|closing| *closing).await;
        }
    }

    /// The leader's read index, for other members.
    pub(crate) async fn own_read_index(&self) -> Result<u64, MetaError> {
        reads::own_index(&self.core).await
    }

    /// Room for a command that comes in `bytes` bytes, to be taken before it is
    /// decoded.
    pub(crate) async fn room(&self, bytes: usize) -> Result<Room, MetaError> {
        let deadline = Instant::now() + self.core.timeout;
        self.queue.reserve(bytes, deadline).await
    }

    /// Executes here, as leader or not at all.
    pub(crate) async fn execute_here(
        &self,
        id: CommandId,
        command: Command,
        room: Room,
    ) -> Result<Executed, MetaError> {
        let deadline = Instant::now() + self.core.timeout;
        self.execute_until(id, command, Some(room), deadline).await
    }

    /// Executes, wherever the leader is.
    pub(crate) async fn execute_anywhere(
        &self,
        id: CommandId,
        command: Command,
        room: Option<Room>,
    ) -> Result<Executed, MetaError> {
        let deadline = Instant::now() + self.core.timeout;
        let here = || self.execute_until(id, command.clone(), room.clone(), deadline);
        forward::execute(&self.core, deadline, id, &command, here).await
    }

    async fn execute_until(
        &self,
        id: CommandId,
        command: Command,
        room: Option<Room>,
        deadline: Instant,
    ) -> Result<Executed, MetaError> {
        if self.core.disk.is_low() && !command.is_frugal() {
            return Err(self.core.no_room());
        }
        let executed = self.queue.execute(id, command, room, deadline).await;
        metrics::gauge!("postrider_meta_queue_commands").set(self.queue.length() as f64);
        executed
    }

    /// Ends it: hands leadership over, executes what waits or leaves it to the
    /// new leader, makes the state durable.
    pub async fn shutdown(&self) -> Result<()> {
        if matches!(*self.core.leader.borrow(), Leader::Me { .. }) {
            self.core.hand_over(None).await;
        }
        self.queue.close();
        let sequencer = self.sequencer.lock().take();
        if let Some(mut sequencer) = sequencer
            && timeout(self.core.timeout, &mut sequencer).await.is_err()
        {
            sequencer.abort();
        }
        self.core.closing.send_replace(true);
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
        done.map_err(|error| blocking::broken_off("reading", &error))?
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
        self.execute_anywhere(id, command, None).await
    }

    async fn query(&self, query: Query, at: ReadAt) -> Result<(Answer, Token), MetaError> {
        let deadline = Instant::now() + self.core.timeout;
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

    fn lacks_majority(&self) -> bool {
        self.standing.lacks_majority()
    }

    async fn majority_lost(&self) {
        self.standing.majority_lost().await;
    }
}

fn failed(error: postrider_kv::Error) -> MetaError {
    MetaError::Failed(error.to_string())
}
