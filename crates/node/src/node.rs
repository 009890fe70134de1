//! A whole node: everything built, bound and connected, in the order in which
//! failures are cheapest; and taken down in the reverse order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use postrider_auth::Authenticator;
use postrider_blob::Store;
use postrider_body::{Bodies, Packer, Sweeper};
use postrider_meta::{Client, ReadAt, command, query};
use postrider_net::{Counts, Drain, Listener, Tls};
use postrider_proto::smtp::{SrsKey, UnsubscribeKey};
use postrider_queue::{Courier, Wake};
use postrider_rpc::{Channels, Timeouts};
use postrider_types::{Clock, NodeId, Role, SteadyClock, SystemClock, Versions};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::Backend;
use crate::bound::{Bound, Certificates, bind};
use crate::cluster::{self, Cluster, Identity, Raiser, Reporter, Roster, Server};
use crate::counts::{Exchange, Leader};
use crate::dir::{self, DirLock};
use crate::figures::Figures;
use crate::health::Health;
use crate::leases::{self, Able, Keeper, Leases};
use crate::random::ThreadRandom;
use crate::services::Services;
use crate::settings::{self, Settings};
use crate::{background, ownership, telemetry};

/// How long the metadata may take to become available at the start of a node
/// that stands alone. One of a cluster waits for the others.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// Between words in the log about what a start waits for.
const WAIT_NOTICE: Duration = Duration::from_secs(10);
/// Between looks whether the node still works.
const FAILURE_CHECK: Duration = Duration::from_secs(1);

/// How a node that stands alone calls itself.
const ALONE: NodeId = NodeId(1);

/// A running node.
pub struct Node {
    bound: Bound,
    meta: Client,
    backend: Backend,
    cluster: Option<Arc<Cluster>>,
    /// Set once the object store turns out to be another's.
    wrong_store: ownership::Wrong,
    certificates: Vec<Tls>,
    /// It leaves the cluster when it is told to stop.
    leaves: bool,
    drain: Drain,
    sessions: TaskTracker,
    /// Background work.
    jobs: Phase,
    /// Keeping the leases under which part of it is done.
    keeper: Phase,
    /// Serving the other nodes.
    server: Phase,
    /// Cancelled when a background job has ended by itself.
    broken: CancellationToken,
    _lock: DirLock,
}

/// Tasks that end together.
#[derive(Default)]
struct Phase {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Phase {
    async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// What is built before anything runs, and used up when it does.
struct Parts {
    settings: Settings,
    listeners: Vec<Listener>,
    of_listeners: Vec<Option<Tls>>,
    server: Option<Server>,
    keeper: Option<Keeper>,
    leases: Leases,
    counts: Counts,
    blobs: Arc<Store>,
    bodies: Bodies,
    health: Arc<Health>,
    token: Arc<str>,
}

impl Node {
    /// Starts a node and returns once it serves. What fails cheaply (the
    /// folder's lock, certificates, ports) is tried before the store is opened.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        Self::start_after(settings, async |_: &Client| Ok(())).await
    }

    /// The same, but does `first` with the metadata before anybody is served: a
    /// client that comes early shall not be told that nobody is here.
    pub async fn start_after(
        settings: Settings,
        first: impl AsyncFnOnce(&Client) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        telemetry::recorder();
        let (node, parts) = Self::build(settings).await?;
        match node.begin(parts, first).await {
            Ok(()) => Ok(node),
            Err(error) => {
                // The first error is the one to tell.
                let _ = node.shutdown().await;
                Err(error)
            }
        }
    }

    async fn build(mut settings: Settings) -> anyhow::Result<(Self, Parts)> {
        let lock = dir::lock(&settings.data_dir)?;
        let token: Arc<str> = dir::token(&settings.token_file())?.into();
        let mut identity = cluster::of(&settings)?;
        if let Some(identity) = &mut identity {
            cluster::remember(identity, &settings)?;
            let own = || cluster::listener_certificate(&settings.data_dir);
            settings.tls = Some(settings.tls.take().unwrap_or_else(own));
        }
        let certificates = Certificates::load(&settings)?;
        let counts = Counts::new();
        let listeners = bind(&settings, &certificates.of_listeners, &counts)?;
        let server = match settings.cluster.as_ref().filter(|_| identity.is_some()) {
            Some(cluster) => Some(Server::bind(cluster).await?),
            None => None,
        };
        let between: &[SocketAddr] = server.as_ref().map_or(&[], Server::addresses);
        let bound = Bound::new(&settings, &listeners, between);

        // By the store itself it would be made as the umask says.
        let folder = settings.blob.folder.as_ref();
        if let Some(folder) = folder.filter(|_| !settings.is_witness()) {
            dir::make_private(folder)?;
        }
        let blobs = match settings.is_witness() {
            true => Store::nowhere(&settings.blob),
            false => Store::open(&settings.blob)?,
        };
        // Alone there is nobody to talk to, and no certificate for it.
        let tls = identity.as_ref().map(Identity::tls).transpose()?;
        let tls = tls.unwrap_or(postrider_rpc::Tls::Off);
        let channels =
            Channels::new(tls.clone(), Timeouts::default()).speaking(settings.meta.versions);
        let backend =
            Backend::start(&settings, identity.as_ref(), channels.clone(), &blobs).await?;
        if let Some(identity) = &mut identity {
            cluster::remember_begun(identity, &settings)?;
        }
        let clock = Arc::new(SystemClock);
        let meta = Client::new(backend.meta(), clock, Arc::new(ThreadRandom));
        let bodies = Bodies::new(meta.clone(), blobs.clone(), settings.body.clone());
        let drain = Drain::new();
        let health = Arc::new(Health::new(
            meta.clone(),
            blobs.clone(),
            drain.clone(),
            settings.meta.versions,
            backend.clone(),
        ));
        let (leases, keeper) = match &identity {
            Some(identity) => {
                let (leases, keeper) = Leases::kept(meta.clone(), identity.facts.node);
                (leases, Some(keeper))
            }
            None => (Leases::alone(), None),
        };
        let section = settings.cluster.as_ref();
        let join_secret = section
            .map(settings::Cluster::join_secret)
            .transpose()?
            .flatten();
        let member = |identity: Identity| {
            let section = settings.cluster.clone().unwrap_or_default();
            let node = identity.facts.node;
            Arc::new(Cluster {
                address: section.address.clone(),
                reporter: Reporter {
                    node,
                    name: section.name().into(),
                    roles: settings.roles.clone().into(),
                    versions: settings.meta.versions,
                    backend: backend.clone(),
                    health: health.clone(),
                    leases: leases.clone(),
                },
                roster: Roster::new(node, settings.meta.versions),
                join_secret: join_secret.clone(),
                identity,
                backend: backend.clone(),
                meta: meta.clone(),
                channels,
                tls,
            })
        };
        let node = Self {
            bound,
            cluster: identity.map(member),
            meta,
            backend,
            wrong_store: ownership::Wrong::default(),
            certificates: certificates.all,
            leaves: settings.cluster.as_ref().is_some_and(|it| it.leave_on_stop),
            drain,
            sessions: TaskTracker::new(),
            jobs: Phase::default(),
            keeper: Phase::default(),
            server: Phase::default(),
            broken: CancellationToken::new(),
            _lock: lock,
        };
        let parts = Parts {
            listeners,
            of_listeners: certificates.of_listeners,
            server,
            keeper,
            leases,
            counts,
            blobs,
            bodies,
            health,
            token,
            settings,
        };
        Ok((node, parts))
    }

    async fn begin(
        &self,
        parts: Parts,
        first: impl AsyncFnOnce(&Client) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if let (Some(cluster), Some(server)) = (&self.cluster, parts.server) {
            // Who was removed shall not be let in before that is known here.
            if self.backend.replica().is_some() {
                cluster.roster.load(&self.meta).await?;
            }
            if let Some(gone) = cluster.roster.gone() {
                anyhow::bail!(gone.clone());
            }
            self.link(cluster, server, &parts.settings, &parts.counts);
        }
        let bodies = parts.bodies;
        // It has no part in bodies, nor in any work.
        let witness = parts.settings.is_witness();
        let mut services = Services {
            auth: Authenticator::sharing(
                self.meta.clone(),
                parts.settings.auth.clone(),
                &parts.counts,
            ),
            meta: self.meta.clone(),
            backend: self.backend.clone(),
            cluster: self.cluster.clone(),
            bodies: bodies.clone(),
            blobs: parts.blobs.clone(),
            health: parts.health.clone(),
            figures: Arc::new(Figures {
                health: parts.health.clone(),
                backend: self.backend.clone(),
                cluster: self.cluster.clone(),
                certificates: self.certificates.clone(),
                inline_limit: parts.settings.body.inline_budget,
                told: Mutex::default(),
            }),
            token: parts.token,
            drain: self.drain.clone(),
            sessions: self.sessions.clone(),
            counts: parts.counts,
            wake: Wake::default(),
            tls_reporter: Arc::default(),
            gateway: None,
            srs: None,
            unsubscribe: None,
            settings: parts.settings,
        };
        let configs = services.settings.listener.clone();
        let configs = configs.iter().zip(parts.of_listeners);
        let listeners = parts.listeners.into_iter().zip(configs);
        // Of a cluster without a majority one must be able to ask what is wrong.
        let in_cluster = self.cluster.is_some();
        let (early, late): (Vec<_>, Vec<_>) = listeners
            .partition(|(_, (config, _))| in_cluster && config.protocol.is_administration());
        // Before anybody can see that this node is there.
        if in_cluster {
            self.bound.leave_url()?;
        }
        for (listener, (config, tls)) in early {
            services.spawn(listener, config, tls);
        }
        let ready = async {
            self.until_available(&parts.health).await?;
            self.check_version(services.settings.meta.versions).await?;
            let data_dir = &self.bound.data_dir;
            // The cluster's store was claimed by its first node.
            if self.cluster.is_none() {
                ownership::claim(&bodies, data_dir).await?;
            }
            let verified = witness || ownership::verify(&bodies, data_dir).await?;
            first(&self.meta).await?;
            anyhow::Ok((verified, secret(&self.meta).await?))
        };
        let (verified, secret) = tokio::select! {
            verified = ready => verified?,
            failure = self.failed() => anyhow::bail!(failure),
        };
        let srs = SrsKey::new(secret);
        services.srs = Some(srs.clone());
        services.unsubscribe = Some(UnsubscribeKey::new(secret));
        let courier = self.courier(&services, srs)?;
        services.gateway = courier.as_ref().map(Courier::gateway);
        if !in_cluster {
            self.bound.leave_url()?;
        }
        for (listener, (config, tls)) in late {
            services.spawn(listener, config, tls);
        }
        if !verified {
            let (bodies, wrong) = (bodies.clone(), self.wrong_store.clone());
            let watched = ownership::watch(bodies, wrong, self.jobs.stop.clone());
            self.jobs.tasks.spawn(watched);
        }
        self.work(&bodies, &parts.blobs, &parts.leases, &services.settings);
        if let Some(courier) = courier {
            let running = courier.run(self.jobs.stop.clone(), services.settings.drain_timeout);
            self.spawn("courier", running.boxed());
        }
        if in_cluster && !witness {
            let probe = background::probe(parts.blobs, self.jobs.stop.clone());
            self.spawn("probe", probe.boxed());
        }
        if let Some(keeper) = parts.keeper.filter(|_| !witness) {
            let backend = self.backend.clone();
            let keeping = keeper.run(move || able(&backend), self.keeper.stop.clone());
            self.keeper.tasks.spawn(keeping);
        }
        let interval = services.settings.certificate_check;
        for tls in &self.certificates {
            let watching = tls.clone().watch(interval, self.drain.clone());
            self.jobs.tasks.spawn(watching);
        }
        Ok(())
    }

    /// Begins to talk to the other nodes.
    fn link(&self, cluster: &Arc<Cluster>, server: Server, settings: &Settings, counts: &Counts) {
        let identity = &cluster.identity;
        let exchange = Exchange::new(identity.facts.node, counts.clone());
        let Phase { stop, tasks } = &self.server;
        server.spawn(cluster, exchange.clone(), tasks, stop);
        let stop = || self.jobs.stop.clone();
        let (sender, leader) = watch::channel(Leader::None);
        self.spawn("leader", cluster.clone().follow(sender, stop()).boxed());
        let channels = cluster.channels.clone();
        self.spawn("counts", exchange.run(leader, channels, stop()).boxed());
        let roster = cluster.roster.clone().keep(
            cluster.meta.clone(),
            cluster.channels.clone(),
            identity.clone(),
            settings.data_dir.clone(),
            stop(),
        );
        self.spawn("roster", roster.boxed());
        let settling = cluster.settling(settings);
        self.spawn("settling", settling.run(stop()).boxed());
    }

    /// Begins the background work.
    fn work(&self, bodies: &Bodies, blobs: &Arc<Store>, leases: &Leases, settings: &Settings) {
        let retention = settings.backup.retention;
        let stop = || self.jobs.stop.clone();
        self.spawn("metrics", background::fold_metrics(stop()).boxed());
        let watching = background::watch_queue(self.meta.clone(), stop());
        self.spawn("queue metrics", watching.boxed());
        let once = |name, make: Box<dyn Fn(CancellationToken) -> BoxFuture<'static, ()> + Send>| {
            let job = leases.clone().run(leases::BACKGROUND, stop(), make);
            self.spawn(name, job.boxed());
        };
        let of = bodies.clone();
        let packer = move |stop| Packer::new(&of).run(stop).boxed();
        once("packer", Box::new(packer));
        let steady: Arc<dyn Clock> = Arc::new(SteadyClock::new(SystemClock));
        let (of, clock) = (bodies.clone(), steady.clone());
        let needed = background::needed(blobs.clone(), retention);
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
    fn courier(&self, services: &Services, srs: SrsKey) -> anyhow::Result<Option<Courier>> {
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
    fn spawn(&self, name: &'static str, job: BoxFuture<'static, ()>) {
        let (stop, broken) = (self.jobs.stop.clone(), self.broken.clone());
        let watched = background::watched(name, job, stop, broken);
        self.jobs.tasks.spawn(watched);
    }

    /// Where it listens.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Its metadata.
    pub fn meta(&self) -> &Client {
        &self.meta
    }

    /// Returns once the node can no longer work, with the reason: the metadata
    /// store failed, a background job panicked, the object store is another's, or
    /// it was removed from the cluster. The process should end then.
    pub async fn failed(&self) -> String {
        loop {
            if let Some(gone) = self.cluster.as_ref().and_then(|c| c.roster.gone()) {
                return gone.clone();
            }
            if let Some(failure) = self.backend.failure() {
                return format!("the metadata store cannot go on: {failure}");
            }
            if let Some(wrong) = self.wrong_store.get() {
                return wrong.clone();
            }
            if self.broken.is_cancelled() {
                return "a background job has ended; the log has the panic".to_owned();
            }
            tokio::time::sleep(FAILURE_CHECK).await;
        }
    }

    /// Everything that contradicts itself in the metadata; empty is fine. Reads
    /// the whole store.
    pub async fn check_consistency(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.backend.check_consistency().await?)
    }

    /// Reads all certificates again; one that is not usable is logged and the
    /// old one stays.
    pub fn reload_certificates(&self) {
        for tls in &self.certificates {
            let file = tls.settings().certificate.display();
            match tls.reload() {
                Ok(()) => tracing::info!(certificate = %file, "read the certificate again"),
                Err(error) => tracing::error!(%error, "the old certificate stays"),
            }
        }
    }

    /// Lets sessions end (for as long as `drain_timeout` says), stops the
    /// background work, gives back its leases and the leadership, and closes the
    /// store.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.drain.start();
        self.sessions.close();
        self.sessions.wait().await;
        self.jobs.end().await;
        self.keeper.end().await;
        if let Some(cluster) = self.cluster.as_ref().filter(|_| self.leaves)
            && let Err(error) = cluster.leave(&self.bound.data_dir).await
        {
            tracing::warn!(
                "this node has not left the cluster, which counts it as one that does not \
                 answer: {error:#}"
            );
        }
        // The others' answers are needed until the leadership is handed over.
        let closed = self.backend.shutdown().await;
        self.server.end().await;
        closed?;
        // So that the command line says that nothing runs here.
        let _ = std::fs::remove_file(self.bound.data_dir.join(dir::URL));
        Ok(())
    }

    /// Refuses to work in a cluster whose version the program does not know.
    async fn check_version(&self, versions: Versions) -> anyhow::Result<()> {
        let version = self.meta.ask(query::ClusterVersion {}, ReadAt::Latest);
        match versions.objection("this program", version.await?.0) {
            None => Ok(()),
            Some(objection) => anyhow::bail!(objection),
        }
    }

    /// Waits until the metadata answer.
    async fn until_available(&self, health: &Health) -> anyhow::Result<()> {
        let began = tokio::time::Instant::now();
        let mut noticed = began;
        while let Err(reason) = health.inline_bytes().await {
            if self.cluster.is_none() && began.elapsed() >= READY_TIMEOUT {
                anyhow::bail!("the metadata store does not become available: {reason}");
            }
            if noticed.elapsed() >= WAIT_NOTICE {
                noticed = tokio::time::Instant::now();
                tracing::warn!(
                    reason,
                    "waiting for the metadata; `postrider cluster status` shows which nodes answer"
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
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

/// The secret that all nodes share; the first node makes it.
async fn secret(meta: &Client) -> anyhow::Result<[u8; 32]> {
    let mut fresh = [0; 32];
    meta.random().fill(&mut fresh);
    let told = async || anyhow::Ok(meta.ask(query::Secret {}, ReadAt::Latest).await?.0);
    let mut secret = told().await?;
    if secret.is_none() {
        let set = command::SetSecret {
            secret: bytes::Bytes::copy_from_slice(&fresh),
        };
        meta.run(set).await?.0?;
        secret = told().await?;
    }
    let secret = secret.context("the metadata hold no secret")?;
    secret.as_ref().try_into().context("the secret is damaged")
}
