//! The settings file: every section with its owner, composed.
//!
//! A section belongs to the crate that uses it; this module adds what concerns
//! the whole node and checks what spans sections. Reading is in `load`, the
//! environment in `overlay`, hints on typos in `suggest`.

mod backup;
mod cluster;
mod listener;
mod load;
mod overlay;
mod suggest;
mod web;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use postrider_net::{Network, TlsSettings};
use postrider_types::{Role, human};
use serde::Deserialize;

pub use backup::Backup;
pub use cluster::{Cluster, WithoutMajority};
pub(crate) use cluster::{host, is_name};
pub use listener::{Listener, Protocol};
pub use load::{LoadError, load};
pub use web::{MtaSts, Web};

/// All settings of a node.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the node keeps its metadata, lock and tokens. One process per folder.
    pub data_dir: PathBuf,
    /// What this node of a cluster does: `meta` and `frontend` by default, or `witness`.
    pub roles: Vec<Role>,
    /// How the nodes of a cluster reach each other. None: this node stands alone.
    pub cluster: Option<Cluster>,
    /// How long sessions may take to end when the node stops.
    #[serde(with = "human::duration")]
    pub drain_timeout: Duration,
    /// Logs.
    pub log: Log,
    /// Certificate and key of all listeners that name none of their own.
    pub tls: Option<TlsSettings>,
    /// How often certificate files are looked at.
    #[serde(with = "human::duration")]
    pub certificate_check: Duration,
    /// What to listen on.
    pub listener: Vec<Listener>,
    /// The HTTP port.
    pub http: Http,
    /// What `web` listeners serve.
    pub web: Web,
    /// Logins.
    pub auth: postrider_auth::Settings,
    /// SMTP and LMTP.
    pub smtp: postrider_smtp::Settings,
    /// Mail to other servers.
    pub queue: postrider_queue::Settings,
    /// IMAP.
    pub imap: postrider_imap::Settings,
    /// POP3.
    pub pop3: postrider_pop3::Settings,
    /// The metadata store; its `dir` counts from `data_dir`.
    pub meta: postrider_meta_raft::Settings,
    /// Message bodies.
    pub body: postrider_body::Settings,
    /// The object store.
    pub blob: postrider_blob::Settings,
    /// What is kept to recover from.
    pub backup: Backup,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/postrider".into(),
            roles: Role::FULL.to_vec(),
            cluster: None,
            drain_timeout: Duration::from_secs(30),
            log: Log::default(),
            tls: None,
            certificate_check: Duration::from_secs(10),
            listener: Vec::new(),
            http: Http::default(),
            web: Web::default(),
            auth: Default::default(),
            smtp: Default::default(),
            queue: Default::default(),
            imap: Default::default(),
            pop3: Default::default(),
            meta: Default::default(),
            body: Default::default(),
            blob: Default::default(),
            backup: Backup::default(),
        }
    }
}

/// The section `[log]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Text for people or JSON for machines.
    pub format: LogFormat,
    /// What to log: `error`, `warn`, `info`, `debug`, `trace`, also per module:
    /// `info,postrider_imap=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info,openraft=error,fjall=warn,lsm_tree=warn".into(),
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line of text per event.
    Text,
    /// One JSON object per event.
    Json,
}

/// The section `[http]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Networks that may use the administration API (with the token).
    pub admin_from: Vec<Network>,
    /// File with the administration token; made with a fresh one where it does
    /// not exist. Not set: `admin.token` in the data folder.
    pub token_file: Option<PathBuf>,
}

impl Default for Http {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1"];
        Self {
            admin_from: loopback.iter().filter_map(|n| n.parse().ok()).collect(),
            token_file: None,
        }
    }
}

impl Settings {
    /// Everything that is wrong over and above each key's own form; empty is fine.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.listener.is_empty() {
            problems.push(
                "there is no [[listener]]: add one per protocol, for example\n  \
                 [[listener]]\n  protocol = \"imaps\"\n  listen = [\"0.0.0.0:993\"]"
                    .into(),
            );
        }
        // A node of a cluster has a certificate of its own.
        let has_tls = self.tls.is_some() || self.cluster.is_some();
        for listener in &self.listener {
            problems.extend(listener.problem(has_tls));
        }
        problems.extend(self.cluster.as_ref().and_then(Cluster::problem));
        problems.extend(self.roles_problem());
        let metadata = self.meta.check().map_err(|e| format!("meta: {e}"));
        let mut taken = std::collections::HashSet::new();
        let between = self.cluster.iter().flat_map(|cluster| &cluster.listen);
        let of_listeners = self.listener.iter().flat_map(|listener| &listener.listen);
        for address in of_listeners.chain(between) {
            if address.port() != 0 && !taken.insert(address) {
                problems.push(format!("two listeners share {address}: give each its own"));
            }
        }
        let owners = [
            self.web.check(self.cluster.is_some()),
            self.smtp.check(),
            self.queue.check(),
            self.pop3.check(),
            self.body.check(),
            match self.is_witness() {
                true => Ok(()),
                false => self.blob.check(),
            },
            self.backup.check(),
            metadata,
        ];
        problems.extend(owners.into_iter().filter_map(Result::err));
        let certificates = self
            .tls
            .iter()
            .chain(self.listener.iter().filter_map(|l| l.tls.as_ref()));
        for tls in certificates {
            if let Err(error) = postrider_net::Tls::load(tls.clone()) {
                problems.push(error.to_string());
            }
        }
        if let Err(error) = self.log.level.parse::<tracing_subscriber::EnvFilter>() {
            problems.push(format!(
                "log.level: {error}; write, for example, info or debug"
            ));
        }
        problems
    }

    /// The addresses at which this node takes mail from other servers, as far as the
    /// settings name them.
    pub(crate) fn mail_addresses(&self) -> Vec<IpAddr> {
        let smtp = self
            .listener
            .iter()
            .filter(|it| it.protocol == Protocol::Smtp);
        let addresses = smtp.flat_map(|listener| listener.listen.iter().map(|it| it.ip()));
        addresses
            .filter(|address| !address.is_unspecified())
            .collect()
    }

    /// Whether this node does what `role` says.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether this node holds and votes, but serves nobody and needs no object store.
    pub fn is_witness(&self) -> bool {
        self.has(Role::Witness)
    }

    /// Whether this node holds a replica of the metadata.
    pub fn votes(&self) -> bool {
        self.roles.iter().any(|role| role.votes())
    }

    fn roles_problem(&self) -> Option<String> {
        if self.roles.is_empty() {
            let text = "roles is empty: write [\"meta\"], [\"frontend\"] or both, or [\"witness\"]";
            return Some(text.into());
        }
        if self.is_witness() && self.roles.iter().any(|role| *role != Role::Witness) {
            let text = "a witness does nothing else: write roles = [\"witness\"], or leave it out";
            return Some(text.into());
        }
        if self.cluster.is_none() && !Role::FULL.iter().all(|role| self.has(*role)) {
            return Some(
                "a node that stands alone does everything: remove roles, or add [cluster]".into(),
            );
        }
        let leaves = self.cluster.as_ref().is_some_and(|it| it.leave_on_stop);
        if leaves && self.votes() {
            return Some(
                "cluster.leave_on_stop is for nodes with the role \"frontend\" alone: one with \
                 metadata is removed by `postrider cluster remove`"
                    .into(),
            );
        }
        let mail = |listener: &&Listener| !listener.protocol.is_administration();
        let mail = self.listener.iter().find(mail);
        if let Some(listener) = mail.filter(|_| !self.has(Role::Frontend)) {
            return Some(format!(
                "roles has no \"frontend\", so this node serves no mail: remove the {} listener, \
                 or add the role",
                listener.protocol
            ));
        }
        None
    }

    /// The metadata's section with its folder under the data folder.
    pub(crate) fn metadata(&self) -> postrider_meta_raft::Settings {
        let mut settings = self.meta.clone();
        settings.dir = self.data_dir.join(&settings.dir);
        settings.witness = self.is_witness();
        settings
    }

    /// The file with the administration token.
    pub fn token_file(&self) -> PathBuf {
        let default = || self.data_dir.join(crate::dir::TOKEN);
        self.http.token_file.clone().unwrap_or_else(default)
    }
}

/// The process's environment, as far as it is text.
pub(crate) fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text)
}

#[cfg(test)]
mod tests;
