//! A whole node: everything built, bound and connected, in the order in which
//! failures are cheapest; and taken down in the reverse order.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use postrider_auth::Authenticator;
use postrider_blob::Store;
use postrider_body::{Bodies, Packer, Sweeper};
use postrider_meta::Client;
use postrider_net::{Drain, Listener, Tls};
use postrider_rpc::{Channels, Timeouts};
use postrider_types::{Random, SystemClock};
use rand::RngCore;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dir::{self, DirLock};
use crate::health::Health;
use crate::services::Services;
use crate::settings::{Protocol, Settings};
use crate::{background, ownership, telemetry};

/// How long the metadata may take to become available at the start.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// Between looks whether the metadata store still works.
const FAILURE_CHECK: Duration = Duration::from_secs(1);

/// Where a node listens.
#[derive(Clone, Debug, Serialize)]
pub struct Bound {
    /// Its data folder.
    pub data_dir: PathBuf,
    /// The file with its administration token.
    pub token_file: PathBuf,
    /// The bound addresses by protocol, with their real ports.
    pub listeners: BTreeMap<&'static str, Vec<SocketAddr>>,
}

impl Bound {
    /// The first address of `protocol`; None where nothing speaks it.
    pub fn address(&self, protocol: Protocol) -> Option<SocketAddr> {
        self.listeners.get(protocol.as_str())?.first().copied()
    }
}

/// A running node.
pub struct Node {
    bound: Bound,
    meta: Client,
    raft: Arc<postrider_meta_raft::Node>,
    /// Set once the object store turns out to be another's.
    wrong_store: ownership::Wrong,
    certificates: Vec<Tls>,
    drain: Drain,
    sessions: TaskTracker,
    stop: CancellationToken,
    /// Cancelled when a background job has ended by itself.
    broken: CancellationToken,
    background: TaskTracker,
    _lock: DirLock,
}

/// Ids and secrets of the domain, from the thread's generator (ChaCha, seeded
/// and reseeded by the system).
struct ThreadRandom;

impl Random for ThreadRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
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
        let lock = dir::lock(&settings.data_dir)?;
        let token: Arc<str> = dir::token(&settings.token_file())?.into();
        let certificates = Certificates::load(&settings)?;
        let listeners = bind(&settings, &certificates.of_listeners)?;
        let bound = Bound {
            data_dir: settings.data_dir.clone(),
            token_file: settings.token_file(),
            listeners: addresses(&settings, &listeners),
        };

        // By the stores themselves they would be made as the umask says.
        dir::make_private(&settings.metadata().dir)?;
        if let Some(folder) = &settings.blob.folder {
            dir::make_private(folder)?;
        }
        let blobs = Store::open(&settings.blob)?;
        // Alone: there is nobody to talk to yet, so there are no certificates for it.
        let channels = Channels::new(postrider_rpc::Tls::Off, Timeouts::default());
        let clock = Arc::new(SystemClock);
        let raft = postrider_meta_raft::Node::start(settings.metadata(), clock, channels)
            .await
            .context("cannot open the metadata store")?;
        let meta = Client::new(raft.clone(), Arc::new(SystemClock), Arc::new(ThreadRandom));
        let bodies = Bodies::new(meta.clone(), blobs.clone(), settings.body.clone());
        let drain = Drain::new();
        let health = Arc::new(Health::new(meta.clone(), blobs, drain.clone()));
        let ready = async {
            until_available(&health).await?;
            let verified = ownership::settle(&bodies, &settings.data_dir).await?;
            first(&meta).await?;
            anyhow::Ok(verified)
        };
        let verified = match ready.await {
            Ok(verified) => verified,
            Err(error) => {
                // The first error is the one to tell.
                let _ = raft.shutdown().await;
                return Err(error);
            }
        };

        let services = Services {
            auth: Authenticator::new(meta.clone(), settings.auth.clone()),
            meta: meta.clone(),
            backend: raft.clone(),
            bodies: bodies.clone(),
            health,
            token,
            drain: drain.clone(),
            sessions: TaskTracker::new(),
            settings,
        };
        let configs = services.settings.listener.iter();
        let configs = configs.zip(certificates.of_listeners);
        for (listener, (config, tls)) in listeners.into_iter().zip(configs) {
            services.spawn(listener, config, tls);
        }
        let stop = CancellationToken::new();
        let background = TaskTracker::new();
        let wrong_store = ownership::Wrong::default();
        if !verified {
            let wrong = wrong_store.clone();
            background.spawn(ownership::watch(bodies.clone(), wrong, stop.clone()));
        }
        let broken = CancellationToken::new();
        let watched = |name, job: BoxFuture<'static, ()>| {
            background.spawn(background::watched(name, job, stop.clone(), broken.clone()));
        };
        watched("packer", Packer::new(&bodies).run(stop.clone()).boxed());
        watched("sweeper", Sweeper::new(&bodies).run(stop.clone()).boxed());
        watched("metrics", background::fold_metrics(stop.clone()).boxed());
        watched(
            "purge",
            background::purge(meta.clone(), stop.clone()).boxed(),
        );
        watched("trim", background::trim(meta.clone(), stop.clone()).boxed());
        let interval = services.settings.certificate_check;
        for tls in &certificates.all {
            background.spawn(tls.clone().watch(interval, drain.clone()));
        }
        leave_url(&bound)?;
        Ok(Self {
            bound,
            meta,
            raft,
            wrong_store,
            certificates: certificates.all,
            drain,
            sessions: services.sessions,
            stop,
            broken,
            background,
            _lock: lock,
        })
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
    /// store failed, a background job panicked, or the object store is another's.
    /// The process should end then, and be started again.
    pub async fn failed(&self) -> String {
        loop {
            if let Some(failure) = self.raft.health().failure {
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
        Ok(self.raft.check_consistency().await?)
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
    /// background work and closes the store.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.drain.start();
        self.sessions.close();
        self.sessions.wait().await;
        self.stop.cancel();
        self.background.close();
        self.background.wait().await;
        self.raft
            .shutdown()
            .await
            .context("the metadata store did not close well; what was acknowledged is safe")?;
        // So that the command line says that nothing runs here.
        let _ = std::fs::remove_file(self.bound.data_dir.join(dir::URL));
        Ok(())
    }
}

/// The certificates in use.
struct Certificates {
    /// Each once.
    all: Vec<Tls>,
    /// Each listener's, in their order: its own or the global one.
    of_listeners: Vec<Option<Tls>>,
}

impl Certificates {
    fn load(settings: &Settings) -> anyhow::Result<Self> {
        let load = |tls: &Option<_>| tls.clone().map(Tls::load).transpose();
        let global = load(&settings.tls)?;
        let mut all: Vec<Tls> = global.iter().cloned().collect();
        let mut of_listeners = Vec::new();
        for listener in &settings.listener {
            let own = load(&listener.tls)?;
            all.extend(own.clone());
            of_listeners.push(own.or_else(|| global.clone()));
        }
        Ok(Self { all, of_listeners })
    }
}

fn bind(settings: &Settings, certificates: &[Option<Tls>]) -> anyhow::Result<Vec<Listener>> {
    let configs = settings.listener.iter().zip(certificates);
    let bind = |(config, tls): (&crate::settings::Listener, &Option<Tls>)| {
        let protocol = config.protocol;
        let implicit = if protocol.is_implicit_tls() {
            let none = "it needs a certificate: set tls.certificate and tls.key";
            Some(tls.clone().context(none)?)
        } else {
            None
        };
        anyhow::Ok(Listener::bind(config.sockets(), implicit)?)
    };
    configs
        .map(|pair| bind(pair).with_context(|| format!("the {} listener", pair.0.protocol)))
        .collect()
}

fn addresses(
    settings: &Settings,
    listeners: &[Listener],
) -> BTreeMap<&'static str, Vec<SocketAddr>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (config, listener) in settings.listener.iter().zip(listeners) {
        let entry = all.entry(config.protocol.as_str()).or_default();
        entry.extend_from_slice(listener.addresses());
    }
    all
}

/// Waits until the metadata answers.
async fn until_available(health: &Health) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + READY_TIMEOUT;
    while let Err(reason) = health.inline_bytes().await {
        if tokio::time::Instant::now() >= deadline {
            anyhow::bail!("the metadata store does not become available: {reason}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Leaves the administration API's address where the command line looks for it.
fn leave_url(bound: &Bound) -> anyhow::Result<()> {
    let Some(mut address) = bound.address(Protocol::Http) else {
        return Ok(());
    };
    if address.ip().is_unspecified() {
        let loopback: IpAddr = match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    let file = bound.data_dir.join(dir::URL);
    dir::replace(&file, format!("http://{address}\n").as_bytes())
}
