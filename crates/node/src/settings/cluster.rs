//! The section `[cluster]`: how this node and the others reach each other.

use std::net::SocketAddr;

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
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            listen: vec![([0, 0, 0, 0], PORT).into()],
            address: String::new(),
            name: None,
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
    pub(super) fn problem(&self) -> Option<String> {
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
        None
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
