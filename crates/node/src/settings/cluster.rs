//! The section `[cluster]`: how this node and the others reach each other.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use postrider_rpc::JoinSecret;
use serde::Deserialize;

/// The port between nodes.
const PORT: u16 = 7425;
/// The longest name or host (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;

/// The section `[cluster]`. A node without one stands alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// What the other nodes connect to, as `address:port`.
    pub listen: Vec<SocketAddr>,
    /// HOST:PORT at which the other nodes reach this one.
    pub address: String,
    /// The name that `postrider cluster status` shows. Not set: the system's hostname.
    pub name: Option<String>,
    /// HOST:PORT of nodes to ask where this one belongs to no cluster yet: all that may
    /// hold metadata, this one too if it does. Needs `join_secret_file`.
    pub seeds: Vec<String>,
    /// File with the secret, at least 32 bytes, by which nodes of a deployment let each
    /// other in: `serve` joins by itself then. Not set: join by token.
    pub join_secret_file: Option<PathBuf>,
    /// The `name` of the one node that may found the cluster, where none of the seeds
    /// knows one. Not set: none founds one but by `postrider cluster init`.
    pub founder: Option<String>,
    /// When it is told to stop, it leaves the cluster for good, and joins anew at each
    /// start: for frontends without a disk. Needs `join_secret_file`.
    pub leave_on_stop: bool,
    /// What clients get that only want to read while no majority of the nodes with
    /// metadata answers.
    pub without_majority: WithoutMajority,
}

/// What readers get without a majority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutMajority {
    /// Their mail as it is known here, read-only, and an alert that says so.
    #[default]
    Stale,
    /// A temporary error.
    Refuse,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            listen: vec![([0, 0, 0, 0], PORT).into()],
            address: String::new(),
            name: None,
            seeds: Vec::new(),
            join_secret_file: None,
            founder: None,
            leave_on_stop: false,
            without_majority: WithoutMajority::default(),
        }
    }
}

impl Cluster {
    /// The name it is shown under: as set, else the system's, else its host.
    pub(crate) fn name(&self) -> String {
        let system = || {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
            Some(name.trim().to_owned()).filter(|name| is_name(name))
        };
        let host = || host(&self.address).unwrap_or_default().to_owned();
        self.name.clone().or_else(system).unwrap_or_else(host)
    }

    /// What is wrong with it.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.listen.is_empty() {
            return Some(format!(
                "cluster.listen has no address: listen = [\"0.0.0.0:{PORT}\"]"
            ));
        }
        if self.address.is_empty() {
            return Some(format!(
                "cluster.address is missing: the HOST:PORT at which the other nodes reach this \
                 one, for example address = \"mail1.example.org:{PORT}\""
            ));
        }
        if host(&self.address).is_none() {
            return Some(format!(
                "cluster.address {:?} is no address: write HOST:PORT, for example \
                 \"mail1.example.org:{PORT}\" or \"[2001:db8::1]:{PORT}\"",
                self.address
            ));
        }
        if let Some(name) = self.name.as_ref().filter(|name| !is_name(name)) {
            return Some(format!(
                "cluster.name {name:?} is no name: letters, digits, dots and hyphens"
            ));
        }
        self.joining_problem()
    }

    fn joining_problem(&self) -> Option<String> {
        if let Some(seed) = self.seeds.iter().find(|seed| host(seed).is_none()) {
            return Some(format!(
                "cluster.seeds has {seed:?}, which is no address: write HOST:PORT"
            ));
        }
        if self.join_secret_file.is_none() {
            let alone = [
                ("seeds", !self.seeds.is_empty()),
                ("founder", self.founder.is_some()),
                ("leave_on_stop", self.leave_on_stop),
            ];
            let (key, _) = alone.into_iter().find(|(_, set)| *set)?;
            return Some(format!(
                "cluster.{key} is set, but not cluster.join_secret_file: name the file with the \
                 secret that all nodes share, or remove it"
            ));
        }
        let founds = self.founder.as_ref() == Some(&self.name());
        if self.seeds.iter().all(|seed| *seed == self.address) && !founds {
            return Some(
                "cluster.join_secret_file is set, but cluster.seeds names nobody else to ask: \
                 seeds = [\"mail1.example.org:7425\"]"
                    .into(),
            );
        }
        None
    }

    /// The secret by which this node joins, and lets others in; None if none is set.
    pub(crate) fn join_secret(&self) -> anyhow::Result<Option<JoinSecret>> {
        let Some(file) = &self.join_secret_file else {
            return Ok(None);
        };
        let shown = file.display();
        let text = std::fs::read(file);
        let text = text.with_context(|| format!("cannot read cluster.join_secret_file {shown}"))?;
        match JoinSecret::new(&text) {
            Some(secret) => Ok(Some(secret)),
            None => bail!(
                "the join secret in {shown} is shorter than {} bytes: make one with `openssl rand \
                 -hex 32`, the same for all nodes",
                JoinSecret::MIN
            ),
        }
    }
}

/// The host in HOST:PORT, without brackets; None where it is no such address.
pub(crate) fn host(address: &str) -> Option<&str> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().ok()? != 0;
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let good = match bracketed {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    (port && good).then(|| bracketed.unwrap_or(host))
}

/// Whether `text` may stand for a host.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (address, expected) in [
            ("mail1.example.org:7425", Some("mail1.example.org")),
            ("127.0.0.1:17425", Some("127.0.0.1")),
            ("[::1]:7425", Some("::1")),
            ("::1:7425", None),
            ("mail1", None),
            ("mail1:", None),
            ("mail1:0", None),
            ("mail1:70000", None),
            ("mail 1:7425", None),
            (":7425", None),
            ("mail1:+25", None),
        ] {
            assert_eq!(host(address), expected, "{address}");
        }
    }
}
