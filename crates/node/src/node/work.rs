//! The background work of a node: what each does for itself, what one does for all
//! under a lease, and sending mail.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use postrider_body::{Packer, Sweeper};
use postrider_proto::smtp::SrsKey;
use postrider_queue::Courier;
use postrider_types::{Clock, NodeId, Role, SteadyClock, SystemClock};
use tokio_util::sync::CancellationToken;

use super::Node;
use super::build::Parts;
use crate::backend::Backend;
use crate::cluster::Raiser;
use crate::leases::{self, Able};
use crate::services::Services;
use crate::{background, ownership};

/// How a node that stands alone calls itself.
const ALONE: NodeId = NodeId(1);

impl Node {
    /// Begins the background work. `verified`: the object store was found to be this
    /// node's.
    pub(super) fn work(&self, parts: Parts, courier: Option<Courier>, verified: bool) {
        let stop = || self.jobs.stop.clone();
        self.spawn("metrics", background::fold_metrics(stop()).boxed());
        let watching = background::watch_queue(self.meta.clone(), stop());
        self.spawn("queue metrics", watching.boxed());
        if !verified {
            let (bodies, wrong) = (parts.bodies.clone(), self.wrong_store.clone());
            self.jobs
                .tasks
                .spawn(ownership::watch(bodies, wrong, stop()));
        }
        self.share(&parts);
        if let Some(courier) = courier {
            let running = courier.run(stop(), parts.settings.drain_timeout);
            self.spawn("courier", running.boxed());
        }
        // A witness has no part in bodies, nor in what is done for all.
        let witness = parts.settings.is_witness();
        if self.cluster.is_some() && !witness {
            let probe = background::probe(parts.blobs, stop());
            self.spawn("probe", probe.boxed());
        }
        if let Some(keeper) = parts.keeper.filter(|_| !witness) {
            let backend = self.backend.clone();
            let keeping = keeper.run(move || able(&backend), self.keeper.stop.clone());
            self.keeper.tasks.spawn(keeping);
        }
        for tls in &self.certificates {
            let interval = parts.settings.certificate_check;
            let watching = tls.clone().watch(interval, self.drain.clone());
            self.jobs.tasks.spawn(watching);
        }
    }

    /// Begins what one node does for all.
    fn share(&self, parts: &Parts) {
        let (bodies, leases, settings) = (&parts.bodies, &parts.leases, &parts.settings);
        let retention = settings.backup.retention;
        let stop = || self.jobs.stop.clone();
        let once = |name, make: Box<dyn Fn(CancellationToken) -> BoxFuture<'static, ()> + Send>| {
            let job = leases.clone().run(leases::BACKGROUND, stop(), make);
            self.spawn(name, job.boxed());
        };
        let of = bodies.clone();
        let packer = move |stop| Packer::new(&of).run(stop).boxed();
        once("packer", Box::new(packer));
        let steady: Arc<dyn Clock> = Arc::new(SteadyClock::new(SystemClock));
        let (of, clock) = (bodies.clone(), steady.clone());
        let needed = background::needed(parts.blobs.clone(), retention);
        let sweeper = move |stop| {
            let sweeper = Sweeper::new(&of).keeping(needed.clone());
            sweeper.by(clock.clone()).run(stop).boxed()
        };
        once("sweeper", Box::new(sweeper));
        let meta = self.meta.clone();
        let purge = move |stop| background::purge(meta.clone(), stop).boxed();
        once("purge", Box::new(purge));
        let meta = self.meta.clone();
        let clock = steady.clone();
        let trim = move |stop| background::trim(meta.clone(), clock.clone(), stop).boxed();
        once("trim", Box::new(trim));
        let raiser = Raiser {
            meta: self.meta.clone(),
            versions: settings.meta.versions,
            hold: settings.meta.hold_version,
        };
        let raise = move |stop| raiser.clone().run(stop).boxed();
        once("version", Box::new(raise));
        let replica = self.backend.replica().filter(|_| self.cluster.is_some());
        if let Some(replica) = replica.cloned() {
            let of = bodies.clone();
            let archive = move |stop| {
                let (replica, of, clock) = (replica.clone(), of.clone(), steady.clone());
                background::archive(replica, of, retention, clock, stop).boxed()
            };
            let job = leases.clone().run(leases::SNAPSHOTS, stop(), archive);
            self.spawn("archive", job.boxed());
        }
    }

    /// What sends mail to other servers, on nodes that do.
    pub(super) fn courier(
        &self,
        services: &Services,
        srs: SrsKey,
    ) -> anyhow::Result<Option<Courier>> {
        let settings = &services.settings;
        if !settings.has(Role::Frontend) {
            return Ok(None);
        }
        let node = self.cluster.as_ref().map(|it| it.identity.facts.node);
        let handles = postrider_queue::Handles {
            meta: self.meta.clone(),
            bodies: services.bodies.clone(),
            node: node.unwrap_or(ALONE),
            hostname: settings.smtp.hostname.clone(),
            addresses: settings.mail_addresses(),
            srs,
            postmaster: settings.smtp.postmaster.clone(),
            unsubscribe: services.links(),
        };
        let wake = services.wake.clone();
        let courier = Courier::new(handles, settings.queue.clone(), wake);
        let courier = courier.map_err(anyhow::Error::msg)?;
        let set = services.tls_reporter.set(courier.tls_reporter());
        debug_assert!(set.is_ok(), "a node sends mail once");
        Ok(Some(courier))
    }

    /// Runs a job that must not end before the others.
    pub(super) fn spawn(&self, name: &'static str, job: BoxFuture<'static, ()>) {
        let (stop, broken) = (self.jobs.stop.clone(), self.broken.clone());
        let watched = background::watched(name, job, stop, broken);
        self.jobs.tasks.spawn(watched);
    }
}

/// What this node may do for all at the moment.
fn able(backend: &Backend) -> Able {
    let health = backend.health();
    Able {
        replica: health.is_some(),
        leads_others: health.is_some_and(|health| health.leads && health.voters.len() > 1),
    }
}
