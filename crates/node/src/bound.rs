//! Where a node listens: its sockets, their certificates, and what it leaves in
//! its data folder and for scripts about them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use anyhow::Context;
use postrider_net::{Counts, Listener, Tls};
use serde::Serialize;

use crate::dir;
use crate::settings::{self, Protocol, Settings};

/// Where a node listens.
#[derive(Clone, Debug, Serialize)]
pub struct Bound {
    /// Its data folder.
    pub data_dir: PathBuf,
    /// The file with its administration token.
    pub token_file: PathBuf,
    /// The bound addresses by protocol, with their real ports; under `cluster`
    /// those for other nodes.
    pub listeners: BTreeMap<&'static str, Vec<SocketAddr>>,
    /// The certificate's file where the administration speaks TLS.
    #[serde(skip)]
    certificate: Option<PathBuf>,
}

impl Bound {
    /// Of a node that has bound `listeners`, and for other nodes `between`.
    pub(crate) fn new(settings: &Settings, listeners: &[Listener], between: &[SocketAddr]) -> Self {
        let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (config, listener) in settings.listener.iter().zip(listeners) {
            let entry = all.entry(config.protocol.as_str()).or_default();
            entry.extend_from_slice(listener.addresses());
        }
        if !between.is_empty() {
            all.insert("cluster", between.to_vec());
        }
        Self {
            data_dir: settings.data_dir.clone(),
            token_file: settings.token_file(),
            listeners: all,
            certificate: certificate(settings),
        }
    }

    /// The first address of `protocol`; None where nothing speaks it.
    pub fn address(&self, protocol: Protocol) -> Option<SocketAddr> {
        self.listeners.get(protocol.as_str())?.first().copied()
    }

    /// Leaves the administration API's address where the command line looks for it.
    pub(crate) fn leave_url(&self) -> anyhow::Result<()> {
        let plain = self.address(Protocol::Http).map(|it| (it, "http"));
        let tls = || self.address(Protocol::Https).map(|it| (it, "https"));
        let Some((mut address, scheme)) = plain.or_else(tls) else {
            return Ok(());
        };
        if let Some(certificate) = &self.certificate {
            let path = certificate.as_os_str().as_bytes();
            dir::replace(&self.data_dir.join(dir::CERTIFICATE), path)?;
        }
        if address.ip().is_unspecified() {
            let loopback: IpAddr = match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            };
            address.set_ip(loopback);
        }
        let file = self.data_dir.join(dir::URL);
        dir::replace(&file, format!("{scheme}://{address}\n").as_bytes())
    }
}

/// The file with the certificate of the administration, if it speaks TLS.
fn certificate(settings: &Settings) -> Option<PathBuf> {
    let mut listeners = settings.listener.iter();
    let https = listeners.find(|listener| listener.protocol == Protocol::Https)?;
    let tls = https.tls.as_ref().or(settings.tls.as_ref())?;
    std::path::absolute(&tls.certificate).ok()
}

/// The certificates in use.
pub(crate) struct Certificates {
    /// Each once.
    pub(crate) all: Vec<Tls>,
    /// Each listener's, in their order: its own or the global one.
    pub(crate) of_listeners: Vec<Option<Tls>>,
}

impl Certificates {
    /// Reads them.
    pub(crate) fn load(settings: &Settings) -> anyhow::Result<Self> {
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

/// Binds all listeners for clients.
pub(crate) fn bind(
    settings: &Settings,
    certificates: &[Option<Tls>],
    counts: &Counts,
) -> anyhow::Result<Vec<Listener>> {
    let bind = |(config, tls): (&settings::Listener, &Option<Tls>)| {
        let protocol = config.protocol;
        let implicit = if protocol.is_implicit_tls() {
            let none = "it needs a certificate: set tls.certificate and tls.key";
            Some(tls.clone().context(none)?)
        } else {
            None
        };
        let listener = Listener::bind(config.sockets(), implicit)?;
        anyhow::Ok(match protocol {
            // Mail servers in front and monitoring: nobody to be held off.
            Protocol::Lmtp | Protocol::Http | Protocol::Https => listener,
            _ => listener.shared(counts, protocol.as_str()),
        })
    };
    let configs = settings.listener.iter().zip(certificates);
    configs
        .map(|pair| bind(pair).with_context(|| format!("the {} listener", pair.0.protocol)))
        .collect()
}
