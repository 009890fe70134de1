//! What the parts of a node share: the Raft handle, log and state, and who
//! leads. Knows nothing of commands and queries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::ReadPolicy;
use openraft::{BasicNode, Instant as _, Raft};
use parking_lot::Mutex;
use postrider_meta::Error as MetaError;
use postrider_rpc::Channels;
use postrider_types::{Clock, Versions};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::acknowledged::Lack;
use crate::archive::{Archive, Archiving};
use crate::bucket::{BUCKET, Bucket};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::machine::{Machine, Shared};
use crate::network::Addresses;
use crate::raft::{StoredMembership, TypeConfig};
use crate::settings::Settings;

/// The first pause before something is tried again where no change of the
/// leadership wakes it; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(160);
/// A member that lacks no more entries than this keeps up: it gets them within an
/// election.
const CLOSE: u64 = 64;
/// A hand-over that takes longer has failed; then there is an election.
const HAND_OVER: Duration = Duration::from_secs(2);

/// Who leads, as far as a node knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Leader {
    /// Nobody, or nobody that is known here.
    #[default]
    Unknown,
    /// The node itself.
    Me {
        /// In this term.
        term: u64,
    },
    /// Another node. It may be gone: that shows only after an election.
    Other {
        /// Its id.
        node: u64,
        /// HOST:PORT at which it is reached.
        address: String,
        /// In this term.
        term: u64,
    },
}

/// What the parts of a node share.
pub(crate) struct Core {
    pub(crate) raft: Raft<TypeConfig, Machine>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Log,
    pub(crate) lease_reads: bool,
    /// Another is asked to lead: the lease counts no more.
    pub(crate) handing_over: AtomicBool,
    pub(crate) timeout: Duration,
    pub(crate) node_id: u64,
    /// It shall not lead.
    pub(crate) witness: bool,
    /// The versions of the cluster that this program works in.
    pub(crate) versions: Versions,
    pub(crate) channels: Channels,
    pub(crate) addresses: Addresses,
    pub(crate) archive: Option<Archive>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: Disk,
    /// The disk is nearly full, and so are those of all others that could lead.
    pub(crate) nobody_has_room: AtomicBool,
    pub(crate) bucket: Option<Bucket>,
    /// Whether this node lacks what it had acknowledged.
    pub(crate) lack: Arc<Lack>,
    pub(crate) leader: watch::Sender<Leader>,
    /// True once the node is ending: nothing is tried again then, and streams
    /// to others end.
    pub(crate) closing: watch::Sender<bool>,
    /// Without an answer of a majority for this long, a leader is cut off.
    pub(crate) patience: Duration,
    /// One change of the membership at a time.
    pub(crate) changing: tokio::sync::Mutex<()>,
    /// Since when this node leads, if it does.
    pub(crate) led_since: Mutex<Option<Instant>>,
    /// The term in which this node, leading alone, has applied all that was
    /// committed in earlier ones.
    pub(crate) settled: Mutex<Option<u64>>,
    /// Members that are witnesses, as the metadata here have it.
    pub(crate) witnesses: Mutex<BTreeSet<u64>>,
    /// Told when this node, a witness, holds more than the one that asks for its vote.
    pub(crate) outdone: Notify,
    /// How the archive is doing, where this node keeps it.
    pub(crate) archiving: Mutex<Option<Archiving>>,
}

impl Core {
    /// Begins a cluster of one where the folder is new, and stands for election
    /// at once where there is nobody else.
    pub(crate) async fn begin(&self, settings: &Settings) -> Result<()> {
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
        if self.membership().voter_ids().eq([self.node_id]) {
            let asked = self.raft.trigger().elect(false).await;
            asked.map_err(|error| fatal(&error))?;
        }
        Ok(())
    }

    /// The members as they are in effect.
    pub(crate) fn membership(&self) -> Arc<StoredMembership> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        Arc::clone(&metrics.membership_config)
    }

    /// The term in which this node leads and is the only voter. Then its state
    /// is the latest: nobody else can commit, and whoever is told of a write is
    /// told after it was applied here. A second voter needs this node's vote to
    /// lead, which it gets only after it has shown up among the voters here.
    pub(crate) fn leads_alone(&self) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let vote = &metrics.vote;
        let alone = vote.committed
            && vote.leader_id.voted_for == self.node_id
            && metrics.running_state.is_ok()
            && metrics.membership_config.voter_ids().eq([self.node_id]);
        alone.then_some(vote.leader_id.term)
    }

    /// Confirms that this node leads and has applied what was committed before.
    /// The term in which it does.
    pub(crate) async fn barrier(&self) -> Result<u64, MetaError> {
        let unavailable = |error: &dyn std::fmt::Display| MetaError::Unavailable(error.to_string());
        let read = self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await;
        let read = read.map_err(|error| unavailable(&error))?;
        let term = read.read_log_id().committed_leader_id().term;
        let applied = read.await_ready(&self.raft).await;
        applied.map_err(|error| unavailable(&error))?;
        Ok(term)
    }

    /// Keeps [`Self::leader`] and the addresses of the members as Raft has them.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut metrics = self.raft.server_metrics();
        loop {
            let (leader, members) = {
                let metrics = metrics.borrow_watched();
                let vote = &metrics.vote;
                let mine = vote.committed && vote.leader_id.voted_for == self.node_id;
                let members = Arc::clone(&metrics.membership_config);
                let term = vote.leader_id.term;
                // Its own leadership counts once the vote for it is durable.
                let leader = match metrics.current_leader {
                    Some(id) if id == self.node_id => mine.then_some(Leader::Me { term }),
                    // It leads only for as long as it hands over what it has.
                    Some(BUCKET) => None,
                    Some(node) => members.get_node(&node).map(|found| Leader::Other {
                        node,
                        address: found.addr.clone(),
                        term,
                    }),
                    None => None,
                };
                (leader.unwrap_or_default(), members)
            };
            self.addresses.learn(&members);
            if let Some(bucket) = &self.bucket {
                bucket.voters().learn(&members);
            }
            if *self.leader.borrow() != leader {
                let leads = matches!(leader, Leader::Me { .. });
                if leads {
                    // A hand-over that was given up half way belongs to an
                    // earlier term: whoever it was meant for cannot use it now.
                    self.handing_over.store(false, Ordering::SeqCst);
                }
                *self.led_since.lock() = leads.then(Instant::now);
                self.leader.send_replace(leader);
            }
            if metrics.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until a leader is known, for at most the time of a command.
    pub(crate) async fn wait_for_leader(&self) {
        let mut leader = self.leader.subscribe();
        let known = leader.wait_for(|leader| *leader != Leader::Unknown);
        // Without one the caller finds out for itself.
        let _ = timeout(self.timeout, known).await;
    }

    /// The leader's address, unless it is this node.
    pub(crate) fn leader_address(&self) -> Option<String> {
        match &*self.leader.borrow() {
            Leader::Other { address, .. } if !address.is_empty() => Some(address.clone()),
            _ => None,
        }
    }

    /// Is ready once this node leads but no majority has answered it for a
    /// while: what it has proposed may never be committed.
    pub(crate) async fn cut_off(&self) {
        let began = Instant::now();
        loop {
            let silence = {
                let metrics = self.raft.metrics();
                let metrics = metrics.borrow_watched();
                let waited = began.elapsed();
                match metrics.last_quorum_acked {
                    _ if metrics.membership_config.voter_ids().eq([self.node_id]) => Duration::ZERO,
                    Some(at) => at.into_inner().elapsed().min(waited),
                    None => waited,
                }
            };
            if silence >= self.patience {
                return;
            }
            sleep(self.patience.saturating_sub(silence)).await;
        }
    }

    /// Gives the leadership to another voter, if there is one that keeps up.
    /// Whether this node leads no more.
    pub(crate) async fn hand_over(&self, to: Option<u64>) -> bool {
        let Some(target) = to.or_else(|| self.successor()) else {
            return !matches!(*self.leader.borrow(), Leader::Me { .. });
        };
        self.handing_over.store(true, Ordering::SeqCst);
        let handed_over = self.hand_over_to(target).await;
        // If it was not taken over yet, it may still be, for about an election;
        // by then the lease has run out.
        if !handed_over {
            sleep(self.patience).await;
        }
        self.handing_over.store(false, Ordering::SeqCst);
        handed_over
    }

    async fn hand_over_to(&self, target: u64) -> bool {
        let mut leader = self.leader.subscribe();
        if let Err(error) = self.raft.trigger().transfer_leader(target).await {
            tracing::warn!(%error, "the leadership could not be handed over");
            return false;
        }
        let moved = leader.wait_for(|leader| matches!(leader, Leader::Other { .. }));
        let moved = timeout(HAND_OVER, moved).await;
        if !matches!(moved, Ok(Ok(_))) {
            tracing::warn!(target, "the leadership was not taken over in time");
            return false;
        }
        true
    }

    /// The voter that is to lead after this node: it answers, and has the most. No
    /// witness.
    pub(crate) fn successor(&self) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.current_leader != Some(self.node_id) {
            return None;
        }
        let progress = metrics.replication.as_ref()?;
        let answered = metrics.heartbeat.as_ref()?;
        let witnesses = self.witnesses.lock();
        let voters = metrics.membership_config.voter_ids();
        let others =
            voters.filter(|id| ![BUCKET, self.node_id].contains(id) && !witnesses.contains(id));
        others.max_by_key(|id| {
            let heard = answered.get(id).copied().flatten();
            let heard = heard.map(|at| at.into_inner().elapsed() < self.patience);
            let matched = progress.get(id).copied().flatten();
            (heard.unwrap_or(false), matched)
        })
    }

    /// How many entries another member still lacks, where this node leads and knows.
    pub(crate) fn lacks(&self, id: u64) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let matched = metrics.replication.as_ref()?.get(&id).copied()??;
        let last = metrics.last_log_index.unwrap_or(0);
        Some(last.saturating_sub(matched.index))
    }

    /// Whether a member lacks next to nothing of what this node, which leads, has.
    pub(crate) fn keeps_up(&self, id: u64) -> bool {
        self.lacks(id).is_some_and(|lacks| lacks <= CLOSE)
    }

    /// Says that the node is ending.
    pub(crate) fn check_open(&self) -> Result<(), MetaError> {
        match *self.closing.borrow() {
            true => Err(MetaError::Unavailable(
                "the metadata node is shutting down".into(),
            )),
            false => Ok(()),
        }
    }
}

/// Waits between tries: until the leadership changes, or a little longer each
/// time.
pub(crate) struct Pauses {
    leader: watch::Receiver<Leader>,
    closing: watch::Receiver<bool>,
    next: Duration,
    deadline: Instant,
}

impl Pauses {
    /// For tries that end at `deadline`.
    pub(crate) fn new(core: &Core, deadline: Instant) -> Self {
        Self {
            leader: core.leader.subscribe(),
            closing: core.closing.subscribe(),
            next: FIRST_PAUSE,
            deadline,
        }
    }

    /// Who leads now. A change after this ends the next pause.
    pub(crate) fn leader(&mut self) -> Leader {
        self.leader.borrow_and_update().clone()
    }

    /// Waits. False once the time is up.
    pub(crate) async fn pause(&mut self) -> bool {
        let known = *self.leader.borrow() != Leader::Unknown;
        // Without a leader nothing can be done before there is one.
        let until = match known {
            true => self.deadline.min(Instant::now() + self.next),
            false => self.deadline,
        };
        self.next = (2 * self.next).min(LAST_PAUSE);
        tokio::select! {
            // Errors mean that the node is ending: the caller sees that.
            _ = timeout_at(until, self.leader.changed()) => {}
            _ = self.closing.wait_for(|closing| *closing) => {}
        }
        Instant::now() < self.deadline
    }

    /// Is ready when another leads than at the last look.
    pub(crate) async fn changed(&mut self) {
        if self.leader.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
