//! [`Courier`]: takes due entries out of the queue under leases and has them
//! delivered. One runs on each node that sends mail.
//!
//! Owns the window of entries in hand and their leases. What becomes of an entry
//! is decided in `lane` and written in `settle`.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use postrider_body::Bodies;
use postrider_meta::command::{FreeQueued, LeaseQueued};
use postrider_meta::{Client, Error, ReadAt, Token, limit, query};
use postrider_notice::Notices;
use postrider_proto::smtp::{SrsKey, UnsubscribeLinks};
use postrider_route::Poster;
use postrider_types::{Address, Millis, NodeId, QueueId};
use tokio::sync::{Mutex, Notify};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::collector::Collector;
use crate::gateway::Gateway;
use crate::grip::{Grip, Turn};
use crate::hands::{Hands, Held};
use crate::lane;
use crate::outcomes::Outcomes;
use crate::plan::Planner;
use crate::schedule;
use crate::seal::Seals;
use crate::settings::Settings;
use crate::signing::Signing;
use crate::slots::Slots;
use crate::tls_report::TlsReporter;

/// How long a lease lasts: so long is a message delayed at the most by the death
/// of the node that has it in hand, if that is not back before.
pub(crate) const TTL: Duration = Duration::from_secs(60);
/// Between writes of the results of TLS.
const FLUSH_EVERY: Duration = Duration::from_secs(60);
/// How long the last of them may take.
const LAST_FLUSH: Duration = Duration::from_secs(3);
/// Between two leases, so that what comes one by one is taken together.
const GATHER: Duration = Duration::from_millis(10);
/// Between looks whether something is due.
const LOOK: Duration = Duration::from_secs(1);
/// After the metadata could not be asked.
const PAUSE: Duration = Duration::from_secs(2);
/// The most entries of one lease.
const LEASE: usize = 100;

/// What a courier works with.
#[derive(Clone)]
pub struct Handles {
    /// The metadata.
    pub meta: Client,
    /// The message bodies.
    pub bodies: Bodies,
    /// This node.
    pub node: NodeId,
    /// This host's name: in EHLO and in notices.
    pub hostname: String,
    /// The addresses at which this node takes mail.
    pub addresses: Vec<IpAddr>,
    /// The key of forwarded senders, the same on all nodes.
    pub srs: SrsKey,
    /// Who gets the bounces of a mailing list that has no owner, where its domain has
    /// no postmaster.
    pub postmaster: Option<Address>,
    /// The way out of mailing lists; None offers none.
    pub unsubscribe: Option<UnsubscribeLinks>,
}

/// Tells a node's courier that something is due at once. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Something is due.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Delivers what is due.
pub struct Courier {
    shared: Arc<Shared>,
    wake: Wake,
}

/// What all parts of a courier share.
pub(crate) struct Shared {
    pub(crate) handles: Handles,
    pub(crate) settings: Settings,
    pub(crate) hands: Hands,
    pub(crate) planner: Arc<Planner>,
    /// How secure connections were.
    pub(crate) results: Arc<Collector>,
    /// Brings reports about it to web servers.
    pub(crate) poster: Poster,
    pub(crate) signing: Signing,
    pub(crate) seals: Seals,
    pub(crate) notices: Notices,
    pub(crate) outcomes: Outcomes,
    /// The connections that may be made.
    pub(crate) slots: Slots,
    /// Locked while entries are leased, until they are in hand.
    pub(crate) taking: Mutex<()>,
    /// When this program began, as its leases tell.
    since: Millis,
    workers: TaskTracker,
    /// Cancelled when a worker has panicked: the courier ends, and its leases too.
    broken: CancellationToken,
    /// Cancelled when no new work is begun any more.
    pub(crate) stop: CancellationToken,
}

impl Courier {
    /// A courier, which does nothing before it runs. Fails where the settings name
    /// a file that cannot be read.
    pub fn new(handles: Handles, settings: Settings, wake: Wake) -> Result<Self, String> {
        let results = Arc::new(Collector::new(settings.tls_reports.enabled));
        let planner = Planner::new(&handles, &settings, results.clone())?;
        let poster = Poster::new(planner.resolver.clone(), &settings.sts);
        let shared = Shared {
            hands: Hands::new(&settings),
            planner: Arc::new(planner),
            results,
            poster: poster.map_err(|error| error.to_string())?,
            signing: Signing::new(handles.meta.clone()),
            seals: Seals::new(&handles, &settings)?,
            notices: notices(&handles, &settings),
            outcomes: Outcomes::default(),
            slots: Slots::new(settings.connections),
            taking: Mutex::default(),
            since: handles.meta.clock().now(),
            workers: TaskTracker::new(),
            broken: CancellationToken::new(),
            stop: CancellationToken::new(),
            handles,
            settings,
        };
        Ok(Self {
            shared: Arc::new(shared),
            wake,
        })
    }

    /// What sends reports about TLS on demand.
    pub fn tls_reporter(&self) -> TlsReporter {
        TlsReporter::new(self.shared.clone(), self.wake.clone())
    }

    /// What asks the servers behind this one about recipients, over the same client.
    pub fn gateway(&self) -> Gateway {
        let shared = &self.shared;
        Gateway::new(shared.planner.clone(), shared.settings.gateway.clone())
    }

    /// Delivers until `stop`, then finishes what is being sent, for up to `grace`,
    /// and gives the rest back to the queue. Ends early where a part of it has
    /// panicked: the node must start again.
    pub async fn run(self, stop: CancellationToken, grace: Duration) {
        let renewing = tokio::spawn(self.shared.clone().renew());
        let flushing = tokio::spawn(self.shared.clone().flush());
        if self.shared.settings.tls_reports.enabled {
            tokio::spawn(self.tls_reporter().run());
        }
        let (mut failing, mut fresh) = (false, true);
        while !stop.is_cancelled() {
            if self.shared.broken.is_cancelled() {
                renewing.abort();
                flushing.abort();
                return;
            }
            let taken = match fresh {
                true => self.free().await.map(|()| true),
                false => self.take().await,
            };
            fresh &= taken.is_err();
            if let (Err(error), false) = (&taken, failing) {
                tracing::warn!(%error, "the queue is held up; it is looked at again");
            }
            failing = taken.is_err();
            match taken {
                Ok(true) => continue,
                Ok(false) => sleep(GATHER).await,
                Err(_) => sleep(PAUSE).await,
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.shared.broken.cancelled() => {}
                () = self.wake.0.notified() => {}
                () = self.shared.hands.more_room() => {}
                () = sleep(LOOK) => {}
            }
        }
        self.shared.stop.cancel();
        for held in self.shared.hands.take_all_waiting() {
            self.shared.give_back(&held).await;
        }
        self.shared.workers.close();
        if tokio::time::timeout(grace, self.shared.workers.wait())
            .await
            .is_err()
        {
            tracing::warn!("some messages are still being sent; other nodes take them up later");
        }
        renewing.abort();
        let (meta, resolver) = (&self.shared.handles.meta, &self.shared.planner.resolver);
        let flush = self.shared.results.flush_last(meta, resolver);
        if tokio::time::timeout(LAST_FLUSH, flush).await.is_err() {
            tracing::warn!("the last results of outgoing TLS are lost");
        }
    }

    /// Frees what an earlier program of this node had in hand. That has ended: this one
    /// holds the lock of its data folder.
    async fn free(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let mut after = None;
        loop {
            let free = FreeQueued {
                holder: shared.handles.node,
                since: shared.since,
                after,
            };
            let (verdict, _) = shared.handles.meta.run(free).await?;
            let done = verdict.map_err(|refusal| Error::Failed(refusal.to_string()))?;
            if done.freed > 0 {
                tracing::info!(
                    count = done.freed,
                    "what this node was sending as it ended is free again"
                );
            }
            after = done.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Leases what is due and fits. True: there may be more.
    async fn take(&self) -> Result<bool, Error> {
        let shared = &self.shared;
        let room = shared.hands.room();
        if room.all == 0 || !self.is_due().await? {
            return Ok(false);
        }
        let most = room.all.min(LEASE);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let first = |names: Vec<String>| names.into_iter().take(limit::BUSY).collect();
        let [busy, crowded] = shared.hands.busy().map(first);
        let lease = LeaseQueued {
            holder: shared.handles.node,
            since: shared.since,
            ttl: TTL,
            longest: schedule::longest(&shared.settings),
            limit: count(most),
            usual: count(room.usual),
            bulk: count(room.bulk),
            per_destination: count(shared.hands.per_destination()),
            busy,
            crowded,
        };
        let _taking = shared.taking.lock().await;
        let asked = Instant::now();
        let (verdict, token) = shared.handles.meta.run(lease).await?;
        let leased = verdict.map_err(|refusal| Error::Failed(refusal.to_string()))?;
        let count = leased.entries.len();
        shared.begin(leased.entries, asked, token).await?;
        Ok(count == most)
    }

    /// Whether anything is due: asked of whatever state is at hand, so that a node
    /// without work writes nothing.
    async fn is_due(&self) -> Result<bool, Error> {
        let at_hand = ReadAt::AtLeast(Token(0));
        let meta = &self.shared.handles.meta;
        let (next, _) = meta.ask(query::QueueNext {}, at_hand).await?;
        let now = meta.clock().now();
        let longest = now.after(schedule::longest(&self.shared.settings));
        // What is further away was put off by a clock that was ahead.
        Ok(next.is_some_and(|next| next <= now || next > longest))
    }
}

fn notices(handles: &Handles, settings: &Settings) -> Notices {
    Notices {
        meta: handles.meta.clone(),
        bodies: handles.bodies.clone(),
        node: Some(handles.node),
        hostname: handles.hostname.clone(),
        srs: handles.srs.clone(),
        postmaster: handles.postmaster.clone(),
        lifetime: settings.lifetime,
    }
}

impl Shared {
    /// Begins to work on leased entries.
    async fn begin(
        self: &Arc<Self>,
        leased: Vec<(QueueId, u64)>,
        asked: Instant,
        token: Token,
    ) -> Result<(), Error> {
        if leased.is_empty() {
            return Ok(());
        }
        let ids = leased.iter().map(|(id, _)| *id).collect();
        let meta = &self.handles.meta;
        let at = ReadAt::AtLeast(token);
        let (entries, _) = meta.ask(query::Queued { ids }, at).await?;
        for ((id, lease), entry) in leased.into_iter().zip(entries) {
            // Removed or held meanwhile.
            let Some(entry) = entry.filter(|entry| entry.lease == lease) else {
                continue;
            };
            let turn = Turn::of(&entry);
            // Its lease has ended, as where the clock has jumped, and its attempt has not.
            if let Some(grip) = self.hands.grip(id)
                && grip.take_up(lease, &turn, asked, TTL)
            {
                continue;
            }
            let grip = Arc::new(Grip::new(id, lease, turn, asked, TTL));
            let destination = entry.destination.clone();
            if self.hands.put(Held { entry, grip, token }) {
                self.start_worker(destination);
            }
        }
        Ok(())
    }

    /// Starts one more worker for a destination, which `hands` has counted.
    pub(crate) fn start_worker(self: &Arc<Self>, destination: String) {
        let work = lane::work(Arc::clone(self), destination);
        let shared = Arc::clone(self);
        self.workers.spawn(async move {
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                // What it had in hand would be kept from all others for ever.
                shared.broken.cancel();
            }
        });
    }

    /// Puts results of TLS into the metadata until the courier stops.
    async fn flush(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(FLUSH_EVERY) => {}
            }
            self.flush_once().await;
        }
    }

    /// Puts results of TLS into the metadata now.
    pub(crate) async fn flush_once(&self) {
        let (meta, resolver) = (&self.handles.meta, &self.planner.resolver);
        self.results.flush(meta, resolver).await;
    }
}
