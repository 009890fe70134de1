//! Work that is done once per cluster: one lease per kind of it, kept by
//! whichever node took it, and jobs that run only while it is held.
//!
//! A lease is held until the node's own monotonic clock says that the one it
//! asked for has run out: it asked before the leader granted it, so this is
//! never later than the leader's end of it. A node that stands alone holds all.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use postrider_meta::{Client, Error, ReadAt, command, query};
use postrider_types::NodeId;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Packing, sweeping, purging and trimming.
pub(crate) const BACKGROUND: &str = "background";
/// Carrying snapshots to the object store.
pub(crate) const SNAPSHOTS: &str = "snapshots";

/// How long a lease lasts that is not renewed.
const TTL: Duration = Duration::from_secs(15);
/// Between renewals.
const RENEW: Duration = Duration::from_secs(5);
/// How long giving leases back may take when the node stops.
const RELEASE: Duration = Duration::from_secs(2);
/// Renewals in a row at which a lease is free before a leader takes what is
/// better done by a follower.
const PATIENCE: u32 = 2;

/// When held leases end.
type Held = BTreeMap<&'static str, Instant>;

/// What this node holds. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Leases(Option<watch::Receiver<Held>>);

impl Leases {
    /// Of a node that stands alone: it holds all.
    pub(crate) fn alone() -> Self {
        Self(None)
    }

    /// Of a node of a cluster, with the keeper that takes and renews them.
    pub(crate) fn kept(meta: Client, me: NodeId) -> (Self, Keeper) {
        let (sender, receiver) = watch::channel(Held::new());
        let keeper = Keeper {
            meta,
            me,
            held: sender,
            free: 0,
        };
        (Self(Some(receiver)), keeper)
    }

    /// The names of those held now.
    pub(crate) fn held(&self) -> Vec<String> {
        let now = Instant::now();
        let Some(held) = &self.0 else {
            return [BACKGROUND, SNAPSHOTS].map(str::to_owned).to_vec();
        };
        let held = held.borrow();
        let held = held.iter().filter(|(_, until)| **until > now);
        held.map(|(name, _)| (*name).to_owned()).collect()
    }

    /// Runs the job that `make` makes while lease `name` is held: begins it
    /// again whenever the lease comes back, and drops it at an `await` when the
    /// lease is lost. Returns at `stop`, or when the job ends by itself.
    pub(crate) async fn run(
        self,
        name: &'static str,
        stop: CancellationToken,
        make: impl Fn(CancellationToken) -> BoxFuture<'static, ()>,
    ) {
        let Some(mut held) = self.0 else {
            return make(stop).await;
        };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = taken(&mut held, name) => {}
            }
            let job = make(stop.clone());
            tokio::select! {
                () = job => return,
                () = lost(&mut held, name) => {}
            }
        }
    }
}

/// Is ready once the lease is held.
async fn taken(held: &mut watch::Receiver<Held>, name: &str) {
    let is_held = |held: &Held| held.get(name).is_some_and(|until| *until > Instant::now());
    if held.wait_for(is_held).await.is_err() {
        // No keeper any more: never again.
        std::future::pending().await
    }
}

/// Is ready once the lease is lost or has run out.
async fn lost(held: &mut watch::Receiver<Held>, name: &str) {
    loop {
        let until = held.borrow_and_update().get(name).copied();
        let Some(until) = until else { return };
        tokio::select! {
            () = sleep_until(until) => return,
            changed = held.changed() => if changed.is_err() {
                return sleep_until(until).await;
            }
        }
    }
}

/// What a node may do at the moment, decided by the wiring.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Able {
    /// It holds a replica, whose snapshots it could carry away.
    pub(crate) replica: bool,
    /// It leads others, who should rather do that.
    pub(crate) leads_others: bool,
}

/// Takes and renews this node's leases.
pub(crate) struct Keeper {
    meta: Client,
    me: NodeId,
    held: watch::Sender<Held>,
    /// Rounds in a row in which nobody held [`SNAPSHOTS`].
    free: u32,
}

impl Keeper {
    /// Keeps leases until `stop`, then gives them back: the jobs must have
    /// ended by then.
    pub(crate) async fn run(mut self, able: impl Fn() -> Able, stop: CancellationToken) {
        let mut failing = false;
        loop {
            let round = tokio::select! {
                () = stop.cancelled() => break,
                round = self.round(able()) => round,
            };
            match &round {
                Ok(()) if failing => tracing::info!("leases are renewed again"),
                Err(error) if !failing => {
                    tracing::warn!(%error, "leases cannot be renewed; work for the cluster pauses");
                }
                _ => {}
            }
            failing = round.is_err();
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(RENEW) => {}
            }
        }
        self.release().await;
    }

    async fn round(&mut self, able: Able) -> Result<(), Error> {
        let mut names = vec![BACKGROUND];
        if self.carries_snapshots(able).await? {
            names.push(SNAPSHOTS);
        }
        let asked = Instant::now();
        let take = command::TakeLeases {
            holder: self.me,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ttl: TTL,
        };
        let (verdict, _) = self.meta.run(take).await?;
        let granted = verdict.map_err(|refusal| Error::Failed(refusal.to_string()))?;
        let mine = |name: &&str| {
            let mut all = granted.iter();
            all.any(|lease| lease.name == **name && lease.holder == self.me)
        };
        let held: Held = names
            .iter()
            .filter(|name| mine(name))
            .map(|name| (*name, asked + TTL))
            .collect();
        let before = self.held.send_replace(held);
        for name in self.held.borrow().keys() {
            if !before.contains_key(name) {
                tracing::info!(lease = name, "taken");
            }
        }
        for name in before.keys() {
            if !self.held.borrow().contains_key(name) {
                tracing::info!(lease = name, "lost");
            }
        }
        Ok(())
    }

    /// Whether to ask for [`SNAPSHOTS`]: a leader only where nobody else does.
    async fn carries_snapshots(&mut self, able: Able) -> Result<bool, Error> {
        if !able.leads_others {
            self.free = 0;
            return Ok(able.replica);
        }
        let at_hand = ReadAt::AtLeast(Default::default());
        let (leases, _) = self.meta.ask(query::Leases {}, at_hand).await?;
        let now = self.meta.clock().now();
        let mut leases = leases.iter();
        let holder = leases.find(|lease| lease.name == SNAPSHOTS && lease.until > now);
        match holder {
            // Since it led nobody, or since nobody else did: only then it stays.
            Some(lease) if lease.holder == self.me => Ok(self.free > PATIENCE),
            Some(_) => {
                self.free = 0;
                Ok(false)
            }
            None => {
                self.free = self.free.saturating_add(1);
                Ok(self.free > PATIENCE)
            }
        }
    }

    async fn release(&self) {
        let names: Vec<String> = {
            let held = self.held.send_replace(Held::new());
            held.keys().map(|name| (*name).to_owned()).collect()
        };
        if names.is_empty() {
            return;
        }
        let release = command::ReleaseLeases {
            holder: self.me,
            names,
        };
        let released = timeout(RELEASE, self.meta.run(release)).await;
        if !matches!(released, Ok(Ok((Ok(()), _)))) {
            tracing::info!("leases were not given back: they run out by themselves");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::FutureExt as _;
    use postrider_meta::memory::Memory;
    use postrider_meta::{Authority, NewNode};
    use postrider_types::{Clock, Millis, Role, SystemClock};

    use super::*;
    use crate::random::ThreadRandom;

    /// A job that counts its beginnings and runs until it is stopped.
    fn counting(
        begun: &Arc<AtomicU32>,
    ) -> impl Fn(CancellationToken) -> BoxFuture<'static, ()> + use<> {
        let begun = begun.clone();
        move |stop| {
            begun.fetch_add(1, Ordering::SeqCst);
            async move { stop.cancelled().await }.boxed()
        }
    }

    async fn begun(counter: &AtomicU32, times: u32) {
        while counter.load(Ordering::SeqCst) < times {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_runs_while_its_lease_is_held() {
        let (held, receiver) = watch::channel(Held::new());
        let (stop, count) = (CancellationToken::new(), Arc::new(AtomicU32::new(0)));
        let job = Leases(Some(receiver.clone())).run(BACKGROUND, stop.clone(), counting(&count));
        let job = tokio::spawn(job);
        tokio::task::yield_now().await;
        assert_eq!(count.load(Ordering::SeqCst), 0);
        held.send_replace(Held::from([(BACKGROUND, Instant::now() + TTL)]));
        begun(&count, 1).await;
        // Renewed: it goes on.
        held.send_replace(Held::from([(BACKGROUND, Instant::now() + 2 * TTL)]));
        sleep(TTL + RENEW).await;
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert_eq!(Leases(Some(receiver.clone())).held(), [BACKGROUND]);
        // It runs out, and is taken again.
        sleep(TTL).await;
        assert!(Leases(Some(receiver)).held().is_empty());
        held.send_replace(Held::from([(BACKGROUND, Instant::now() + TTL)]));
        begun(&count, 2).await;
        // Lost before its end.
        held.send_replace(Held::new());
        tokio::task::yield_now().await;
        held.send_replace(Held::from([(BACKGROUND, Instant::now() + TTL)]));
        begun(&count, 3).await;
        stop.cancel();
        job.await.unwrap();
    }

    #[tokio::test]
    async fn a_node_that_stands_alone_holds_all() {
        let (stop, count) = (CancellationToken::new(), Arc::new(AtomicU32::new(0)));
        let leases = Leases::alone();
        assert_eq!(leases.held(), [BACKGROUND, SNAPSHOTS]);
        stop.cancel();
        leases.run(BACKGROUND, stop, counting(&count)).await;
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
    const LEADER: Able = Able {
        replica: true,
        leads_others: true,
    };
    const FOLLOWER: Able = Able {
        replica: true,
        leads_others: false,
    };

    /// The domain's time, ahead of the system's by so many milliseconds.
    #[derive(Default)]
    struct Ahead(AtomicU32);

    impl Clock for Ahead {
        fn now(&self) -> Millis {
            Millis(SystemClock.now().0 + u64::from(self.0.load(Ordering::SeqCst)))
        }
    }

    /// A cluster of two nodes, and their keepers.
    async fn two_keepers(clock: &Arc<Ahead>) -> [(Leases, Keeper); 2] {
        let memory = Memory::new(clock.clone());
        let meta = Client::new(memory, clock.clone(), Arc::new(ThreadRandom));
        let node = |name: &str| NewNode {
            name: name.into(),
            address: format!("{name}.test:7425"),
            roles: vec![Role::Meta],
            version: "1".into(),
            versions: postrider_types::Versions::PROGRAM,
        };
        let found = command::FoundCluster {
            id: "00c0ffee".repeat(4),
            authority: Authority {
                certificate: "-----BEGIN CERTIFICATE-----\n".into(),
                key: "-----BEGIN PRIVATE KEY-----\n".into(),
            },
            node: node("one"),
            node_id: NodeId(1),
        };
        meta.run(found).await.unwrap().0.unwrap();
        let token = [7; 32];
        let issue = command::IssueToken {
            hash: token,
            expires: clock.now().after(Duration::from_secs(60)),
            uses: 1,
        };
        meta.run(issue).await.unwrap().0.unwrap();
        let add = command::AddNode {
            token,
            node: node("two"),
        };
        meta.run(add).await.unwrap().0.unwrap();
        [1, 2].map(|id| Leases::kept(meta.clone(), NodeId(id)))
    }

    #[tokio::test]
    async fn a_follower_carries_snapshots_where_one_is_fit() {
        let clock = Arc::new(Ahead::default());
        let [(first, mut one), (second, mut two)] = two_keepers(&clock).await;
        let carries = |leases: &Leases| leases.held().contains(&SNAPSHOTS.to_owned());
        // The leader comes first, and leaves it to a follower all the same.
        for _ in 0..=PATIENCE + 2 {
            one.round(LEADER).await.unwrap();
            two.round(FOLLOWER).await.unwrap();
            assert!(!carries(&first) && carries(&second));
        }
        assert_eq!(first.held(), [BACKGROUND]);
        // The follower has no replica any more, or is gone: the leader waits until
        // its lease has run out, and a little longer for another.
        let ttl = u32::try_from(TTL.as_millis()).unwrap();
        clock.0.fetch_add(ttl + 1, Ordering::SeqCst);
        for _ in 0..PATIENCE {
            one.round(LEADER).await.unwrap();
            assert!(!carries(&first));
        }
        for _ in 0..3 {
            one.round(LEADER).await.unwrap();
            assert!(carries(&first));
        }
        // It keeps the lease for as long as it renews it, but does not take it over
        // from a time when it followed.
        two.round(FOLLOWER).await.unwrap();
        one.round(FOLLOWER).await.unwrap();
        assert!(carries(&first));
        one.round(LEADER).await.unwrap();
        assert!(!carries(&first));
    }
}
