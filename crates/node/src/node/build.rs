//! Builds a node: its folder, certificates and ports, then its stores, in the order in
//! which failures are cheapest. Nobody is served yet.

use std::net::SocketAddr;
use std::sync::Arc;

use postrider_blob::Store;
use postrider_body::Bodies;
use postrider_meta::Client;
use postrider_net::{Counts, Drain, Listener, Tls};
use postrider_rpc::{Channels, Timeouts};
use postrider_types::SystemClock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Node, Phase, start};
use crate::backend::Backend;
use crate::bound::{Bound, Certificates, bind};
use crate::cluster::{self, Cluster, Identity, Reporter, Roster, Server};
use crate::health::Health;
use crate::leases::{Keeper, Leases};
use crate::random::ThreadRandom;
use crate::settings::{self, Settings};
use crate::{dir, ownership};

/// What is built before anything runs, and used up when it does.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) listeners: Vec<Listener>,
    pub(super) of_listeners: Vec<Option<Tls>>,
    pub(super) server: Option<Server>,
    pub(super) keeper: Option<Keeper>,
    pub(super) leases: Leases,
    pub(super) counts: Counts,
    pub(super) blobs: Arc<Store>,
    pub(super) bodies: Bodies,
    pub(super) health: Arc<Health>,
    pub(super) token: Arc<str>,
}

impl Node {
    pub(super) async fn build(mut settings: Settings) -> anyhow::Result<(Self, Parts)> {
        let lock = dir::lock(&settings.data_dir)?;
        let token: Arc<str> = dir::token(&settings.token_file())?.into();
        let mut identity = identity(&mut settings)?;
        let certificates = Certificates::load(&settings)?;
        let counts = Counts::new();
        let listeners = bind(&settings, &certificates.of_listeners, &counts)?;
        let server = match settings.cluster.as_ref().filter(|_| identity.is_some()) {
            Some(cluster) => Some(Server::bind(cluster).await?),
            None => None,
        };
        let between: &[SocketAddr] = server.as_ref().map_or(&[], Server::addresses);
        let bound = Bound::new(&settings, &listeners, between);
        let blobs = store(&settings)?;
        // Alone there is nobody to talk to, and no certificate for it.
        let tls = identity.as_ref().map(Identity::tls).transpose()?;
        let tls = tls.unwrap_or(postrider_rpc::Tls::Off);
        let channels = Channels::new(tls.clone(), Timeouts::default());
        let channels = channels.speaking(settings.meta.versions);
        let opening = Backend::start(&settings, identity.as_ref(), channels.clone(), &blobs);
        let backend = start::answering(&settings, &listeners, opening).await??;
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
        let (leases, keeper) = leases(identity.as_ref(), &meta);
        let member = |identity: Identity| {
            let reporter = reporter(&settings, &identity, &backend, &health, &leases);
            member(&settings, identity, reporter, &meta, channels, tls)
        };
        let cluster = identity.map(member).transpose()?;
        let node = Self {
            bound,
            cluster,
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
}

/// Who this node is, if it belongs to a cluster: its certificate is for mail clients as
/// well where the settings name none.
fn identity(settings: &mut Settings) -> anyhow::Result<Option<Identity>> {
    let mut identity = cluster::of(settings)?;
    if let Some(identity) = &mut identity {
        cluster::remember(identity, settings)?;
        let own = || cluster::listener_certificate(&settings.data_dir);
        settings.tls = Some(settings.tls.take().unwrap_or_else(own));
    }
    Ok(identity)
}

/// The object store.
fn store(settings: &Settings) -> anyhow::Result<Arc<Store>> {
    if settings.is_witness() {
        return Ok(Store::nowhere(&settings.blob));
    }
    // By the store itself it would be made as the umask says.
    if let Some(folder) = &settings.blob.folder {
        dir::make_private(folder)?;
    }
    Ok(Store::open(&settings.blob)?)
}

/// The leases under which a node of a cluster works; alone it needs none.
fn leases(identity: Option<&Identity>, meta: &Client) -> (Leases, Option<Keeper>) {
    let Some(identity) = identity else {
        return (Leases::alone(), None);
    };
    let (leases, keeper) = Leases::kept(meta.clone(), identity.facts.node);
    (leases, Some(keeper))
}

/// What tells other nodes how this one is.
fn reporter(
    settings: &Settings,
    identity: &Identity,
    backend: &Backend,
    health: &Arc<Health>,
    leases: &Leases,
) -> Reporter {
    let section = settings.cluster.as_ref();
    Reporter {
        node: identity.facts.node,
        name: section
            .map_or_else(String::new, settings::Cluster::name)
            .into(),
        roles: settings.roles.clone().into(),
        versions: settings.meta.versions,
        backend: backend.clone(),
        health: health.clone(),
        leases: leases.clone(),
    }
}

/// This node's part in the cluster.
fn member(
    settings: &Settings,
    identity: Identity,
    reporter: Reporter,
    meta: &Client,
    channels: Channels,
    tls: postrider_rpc::Tls,
) -> anyhow::Result<Arc<Cluster>> {
    let section = settings.cluster.clone().unwrap_or_default();
    Ok(Arc::new(Cluster {
        address: section.address.clone(),
        roster: Roster::new(identity.facts.node, settings.meta.versions),
        join_secret: section.join_secret()?,
        identity,
        backend: reporter.backend.clone(),
        reporter,
        meta: meta.clone(),
        channels,
        tls,
    }))
}
