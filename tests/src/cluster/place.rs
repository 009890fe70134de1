//! Where a member is, and the settings that follow from it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::Roles;
use crate::host::Host;
use crate::ports::Ports;
use crate::process::Addresses;

/// What mail listeners speak, as the settings name them, with the standard ports.
const MAIL: [(&str, u16); 8] = [
    ("smtp", 25),
    ("submission", 587),
    ("submissions", 465),
    ("lmtp", 24),
    ("imap", 143),
    ("imaps", 993),
    ("pop3", 110),
    ("pop3s", 995),
];
/// Health, metrics and administration on a host.
const HTTP: u16 = 8080;
/// The other nodes on a host.
const RPC: u16 = 7425;

/// Ports on loopback, or a host.
pub(super) enum Place {
    Loopback(Ports),
    Host(Host),
}

impl Place {
    /// The node's folder; `all` is that of all nodes on loopback.
    pub(super) fn dir(&self, all: &Path) -> PathBuf {
        match self {
            Self::Loopback(ports) => all.join(format!("node-{}", ports.first())),
            Self::Host(host) => host.dir.clone(),
        }
    }

    /// What listens at the `number`th port of loopback, or at `port` of the host.
    fn at(&self, number: usize, port: u16) -> anyhow::Result<SocketAddr> {
        match self {
            Self::Loopback(ports) => ports.get(number),
            Self::Host(host) => Ok(SocketAddr::new(host.address, port)),
        }
    }

    fn http(&self) -> anyhow::Result<SocketAddr> {
        self.at(MAIL.len(), HTTP)
    }

    /// Where other nodes reach it.
    pub(super) fn rpc(&self) -> anyhow::Result<SocketAddr> {
        self.at(MAIL.len() + 1, RPC)
    }

    /// Where the node listens if its roles let it.
    pub(super) fn addresses(&self) -> anyhow::Result<Addresses> {
        let mut addresses = Addresses::from_fn(|protocol| {
            let mut mail = MAIL.iter().enumerate();
            let found = mail.find(|(_, (name, _))| *name == protocol);
            found.map_or_else(|| self.http(), |(number, (_, port))| self.at(number, *port))
        })?;
        if let Self::Host(host) = self {
            addresses.authority = Some(host.authority.clone());
        }
        Ok(addresses)
    }

    /// The whole settings file: plain logins from loopback, bodies packed after a
    /// second; `more` are sections for all nodes.
    pub(super) fn settings(
        &self,
        dir: &Path,
        roles: Roles,
        more: &str,
        per_address: u32,
    ) -> anyhow::Result<String> {
        let root = dir.display();
        let rpc = self.rpc()?;
        let own = match self {
            Self::Loopback(_) => "",
            Self::Host(host) => &host.settings,
        };
        let head = format!(
            "data_dir = \"{root}/data\"\n\
             roles = {}\n\
             drain_timeout = \"5s\"\n\
             [smtp]\nplain_login_from_loopback = true\nmax_commands = 0\n\
             [imap]\nplain_login_from_loopback = true\n\
             [pop3]\nplain_login_from_loopback = true\n\
             [body]\npack_after = \"1s\"\npack_wait = \"1s\"\n\
             [cluster]\nlisten = [\"{rpc}\"]\naddress = \"{rpc}\"\n",
            roles.setting()
        );
        Ok(format!(
            "{head}{more}\n{own}\n{}",
            self.listeners(roles, per_address)?
        ))
    }

    /// The listeners that its roles allow.
    fn listeners(&self, roles: Roles, per_address: u32) -> anyhow::Result<String> {
        let mut text = String::new();
        let mail = MAIL.iter().enumerate();
        let mut all = vec![("http", self.http()?)];
        for (number, (protocol, port)) in mail.filter(|_| roles.is_mail()) {
            all.push((*protocol, self.at(number, *port)?));
        }
        let proxy = match self {
            Self::Loopback(_) => String::new(),
            Self::Host(host) => format!("proxy_from = [\"{}\"]\n", host.balancer),
        };
        for (protocol, listen) in all {
            text.push_str(&format!(
                "[[listener]]\nprotocol = \"{protocol}\"\nlisten = [\"{listen}\"]\n{proxy}\
                 max_connections_per_address = {per_address}\n"
            ));
        }
        Ok(text)
    }
}
