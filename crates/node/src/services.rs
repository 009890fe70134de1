//! The services of all protocols, each on its listener.

use std::sync::{Arc, OnceLock};

use postrider_auth::Authenticator;
use postrider_blob::Store;
use postrider_body::{Bodies, Verifier};
use postrider_meta::Client;
use postrider_meta_raft::Archive;
use postrider_net::{Counts, Drain, Listener, Tls};
use postrider_notice::Notices;
use postrider_proto::smtp::{SrsKey, UnsubscribeKey, UnsubscribeLinks};
use postrider_queue::{Gateway, TlsReporter, Wake};
use postrider_smtp::Outbound;
use postrider_types::NodeId;
use tokio_util::task::TaskTracker;

use crate::admin;
use crate::backend::Backend;
use crate::background;
use crate::cluster::Cluster;
use crate::figures::Figures;
use crate::gateway::Check;
use crate::health::Health;
use crate::http::Http;
use crate::settings::{self, Protocol, Settings, WithoutMajority};
use crate::web::{Site, Web};

/// What the services of all protocols are made from.
pub(crate) struct Services {
    pub(crate) settings: Settings,
    pub(crate) meta: Client,
    pub(crate) backend: Backend,
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) bodies: Bodies,
    pub(crate) blobs: Arc<Store>,
    pub(crate) auth: Authenticator,
    pub(crate) health: Arc<Health>,
    /// What `/metrics` tells beside what is counted.
    pub(crate) figures: Arc<Figures>,
    pub(crate) token: Arc<str>,
    pub(crate) drain: Drain,
    pub(crate) sessions: TaskTracker,
    pub(crate) counts: Counts,
    /// Tells the courier of new mail.
    pub(crate) wake: Wake,
    /// Sends reports about TLS; set once there is a courier.
    pub(crate) tls_reporter: Arc<OnceLock<TlsReporter>>,
    /// Asks servers behind this one about recipients; None on nodes that send nothing,
    /// and before the metadata could be asked.
    pub(crate) gateway: Option<Gateway>,
    /// The key of forwarded senders; None before the metadata could be asked.
    pub(crate) srs: Option<SrsKey>,
    /// The key with which members leave lists; None before the same.
    pub(crate) unsubscribe: Option<UnsubscribeKey>,
}

impl Services {
    /// Runs `listener` with the service that `config` names.
    pub(crate) fn spawn(&self, listener: Listener, config: &settings::Listener, tls: Option<Tls>) {
        match config.protocol {
            Protocol::Smtp => self.smtp(listener, config, tls, postrider_smtp::Role::Mx),
            Protocol::Submission => {
                self.smtp(listener, config, tls, postrider_smtp::Role::Submission);
            }
            Protocol::Submissions => {
                self.smtp(listener, config, tls, postrider_smtp::Role::Submissions);
            }
            Protocol::Lmtp => self.smtp(listener, config, tls, postrider_smtp::Role::Lmtp),
            Protocol::Imap | Protocol::Imaps => {
                let (meta, auth) = self.for_readers();
                let handles = postrider_imap::Handles {
                    meta,
                    bodies: self.bodies.clone(),
                    auth,
                    tls,
                };
                let settings = self.settings.imap.clone();
                self.run(listener, postrider_imap::Server::new(handles, settings));
            }
            Protocol::Pop3 | Protocol::Pop3s => {
                let (meta, auth) = self.for_readers();
                let handles = postrider_pop3::Handles {
                    meta,
                    bodies: self.bodies.clone(),
                    auth,
                    tls,
                };
                let settings = self.settings.pop3.clone();
                self.run(listener, postrider_pop3::Server::new(handles, settings));
            }
            Protocol::Http | Protocol::Https => {
                let retention = self.settings.backup.retention;
                let needed = background::needed(self.blobs.clone(), retention);
                let cluster = self.cluster.as_ref();
                let archive = |cluster: &Arc<Cluster>| {
                    Archive::new(self.blobs.clone(), &cluster.identity.facts.cluster)
                };
                let admin = admin::Handles {
                    meta: self.meta.clone(),
                    verifier: Verifier::new(&self.bodies, Some(needed)),
                    archive: cluster.map(archive),
                    backend: self.backend.clone(),
                    cluster: self.cluster.clone(),
                    health: self.health.clone(),
                    smtp: self.settings.smtp.clone().into(),
                    tls_reporter: self.tls_reporter.clone(),
                    site: Site::of(&self.settings),
                    token: self.token.clone(),
                    from: self.settings.http.admin_from.clone().into(),
                };
                self.run(listener, Http::new(self.figures.clone(), admin));
            }
            Protocol::Web => {
                if let Some(key) = self.unsubscribe.clone() {
                    let site = Site::of(&self.settings);
                    let timeout = self.settings.web.request_timeout;
                    self.run(listener, Web::new(self.meta.clone(), key, site, timeout));
                }
            }
        }
    }

    fn smtp(
        &self,
        listener: Listener,
        config: &settings::Listener,
        tls: Option<Tls>,
        role: postrider_smtp::Role,
    ) {
        let handles = postrider_smtp::Handles {
            meta: self.meta.clone(),
            bodies: self.bodies.clone(),
            auth: self.auth.clone(),
            tls,
            node: self.node(),
            outbound: self.outbound(),
            unsubscribe: self.links(),
        };
        let mut settings = self.settings.smtp.clone();
        if let Some(hostname) = &config.hostname {
            settings.hostname = hostname.clone();
        }
        self.run(
            listener,
            postrider_smtp::Server::sharing(handles, settings, role, &self.counts),
        );
    }

    /// The metadata and logins of those who mostly read: without a majority they get
    /// what is known, unless the settings say otherwise.
    fn for_readers(&self) -> (Client, Authenticator) {
        let cluster = self.settings.cluster.as_ref();
        match cluster.map(|it| it.without_majority) {
            Some(WithoutMajority::Stale) => {
                (self.meta.clone().serving_stale(), self.auth.serving_stale())
            }
            Some(WithoutMajority::Refuse) | None => (self.meta.clone(), self.auth.clone()),
        }
    }

    /// This node, in a cluster.
    fn node(&self) -> Option<NodeId> {
        let cluster = self.cluster.as_ref();
        cluster.map(|cluster| cluster.identity.facts.node)
    }

    /// The links by which members leave lists; None where nobody would serve them.
    pub(crate) fn links(&self) -> Option<UnsubscribeLinks> {
        let site = Site::of(&self.settings);
        Some(UnsubscribeLinks {
            url: site.url()?.to_owned(),
            key: self.unsubscribe.clone()?,
        })
    }

    /// How sessions queue mail to other servers.
    fn outbound(&self) -> Option<Outbound> {
        let queue = &self.settings.queue;
        let wake = self.wake.clone();
        let srs = self.srs.clone()?;
        Some(Outbound {
            lifetime: queue.lifetime,
            warn_after: (!queue.warn_after.is_zero()).then_some(queue.warn_after),
            gateway: Arc::new(Check(self.gateway.clone()?)),
            accept_unchecked: queue.gateway.accept_unchecked,
            notices: Notices {
                meta: self.meta.clone(),
                bodies: self.bodies.clone(),
                node: self.node(),
                hostname: self.settings.smtp.hostname.clone(),
                srs: srs.clone(),
                postmaster: self.settings.smtp.postmaster.clone(),
                lifetime: queue.lifetime,
            },
            srs,
            wake: Arc::new(move || wake.wake()),
        })
    }

    fn run(&self, listener: Listener, service: impl postrider_net::Service) {
        let running = listener.run(
            Arc::new(service),
            self.drain.clone(),
            self.settings.drain_timeout,
        );
        self.sessions.spawn(running);
    }
}
