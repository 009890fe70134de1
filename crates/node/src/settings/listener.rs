//! The sections `[[listener]]`.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use postrider_net::{ListenerSettings, Network, TlsSettings};
use postrider_types::human;
use serde::Deserialize;

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Mail from other servers, port 25.
    Smtp,
    /// Mail from our users with STARTTLS, port 587.
    Submission,
    /// Mail from our users over TLS, port 465.
    Submissions,
    /// Mail from a trusted server in front, port 24.
    Lmtp,
    /// IMAP with STARTTLS, port 143.
    Imap,
    /// IMAP over TLS, port 993.
    Imaps,
    /// POP3 with STLS, port 110.
    Pop3,
    /// POP3 over TLS, port 995.
    Pop3s,
    /// Health, metrics and administration.
    Http,
    /// The same over TLS.
    Https,
    /// Public pages over TLS, port 443: unsubscription and MTA-STS policies.
    Web,
}

impl Protocol {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 11] = [
        Self::Smtp,
        Self::Submission,
        Self::Submissions,
        Self::Lmtp,
        Self::Imap,
        Self::Imaps,
        Self::Pop3,
        Self::Pop3s,
        Self::Http,
        Self::Https,
        Self::Web,
    ];

    /// As the settings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Submission => "submission",
            Self::Submissions => "submissions",
            Self::Lmtp => "lmtp",
            Self::Imap => "imap",
            Self::Imaps => "imaps",
            Self::Pop3 => "pop3",
            Self::Pop3s => "pop3s",
            Self::Http => "http",
            Self::Https => "https",
            Self::Web => "web",
        }
    }

    /// Whether connections begin with a TLS handshake.
    pub fn is_implicit_tls(self) -> bool {
        matches!(
            self,
            Self::Submissions | Self::Imaps | Self::Pop3s | Self::Https | Self::Web
        )
    }

    /// Whether it is there for administrators and not for clients.
    pub fn is_administration(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One `[[listener]]`: a protocol, its addresses and its limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// What it speaks.
    pub protocol: Protocol,
    /// Addresses as `address:port`, IPv6 as `[address]:port`; port 0 takes a
    /// free one.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// Its own certificate, instead of the one in `[tls]`.
    #[serde(default)]
    pub tls: Option<TlsSettings>,
    /// SMTP and LMTP: the name in its banner, instead of `smtp.hostname`.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Connections that the system holds until they are accepted.
    #[serde(default = "defaults::backlog")]
    pub backlog: u32,
    /// Silence after which the system asks whether the client is still there.
    #[serde(default = "defaults::keepalive", with = "human::duration")]
    pub keepalive: Duration,
    /// Networks of load balancers that send a PROXY protocol header.
    #[serde(default)]
    pub proxy_from: Vec<Network>,
    /// The most connections at once.
    #[serde(default = "defaults::max_connections")]
    pub max_connections: u32,
    /// The most connections at once from one address.
    #[serde(default = "defaults::max_connections_per_address")]
    pub max_connections_per_address: u32,
}

mod defaults {
    use std::time::Duration;

    use postrider_net::ListenerSettings;

    pub(super) fn backlog() -> u32 {
        ListenerSettings::default().backlog
    }
    pub(super) fn keepalive() -> Duration {
        ListenerSettings::default().keepalive
    }
    pub(super) fn max_connections() -> u32 {
        ListenerSettings::default().max_connections
    }
    pub(super) fn max_connections_per_address() -> u32 {
        ListenerSettings::default().max_connections_per_address
    }
}

impl Listener {
    /// A listener with the defaults.
    pub fn new(protocol: Protocol, listen: Vec<SocketAddr>) -> Self {
        let settings = ListenerSettings::default();
        Self {
            protocol,
            listen,
            tls: None,
            hostname: None,
            backlog: settings.backlog,
            keepalive: settings.keepalive,
            proxy_from: settings.proxy_from,
            max_connections: settings.max_connections,
            max_connections_per_address: settings.max_connections_per_address,
        }
    }

    /// The part that concerns sockets.
    pub fn sockets(&self) -> ListenerSettings {
        ListenerSettings {
            listen: self.listen.clone(),
            backlog: self.backlog,
            keepalive: self.keepalive,
            proxy_from: self.proxy_from.clone(),
            max_connections: self.max_connections,
            max_connections_per_address: self.max_connections_per_address,
        }
    }

    /// What is wrong with it, if anything; `has_tls` tells of a global certificate.
    pub(super) fn problem(&self, has_tls: bool) -> Option<String> {
        let protocol = self.protocol;
        if self.listen.is_empty() {
            return Some(format!(
                "the {protocol} listener has no address: listen = [\"0.0.0.0:PORT\"]"
            ));
        }
        let has_name = matches!(
            protocol,
            Protocol::Smtp | Protocol::Submission | Protocol::Submissions | Protocol::Lmtp
        );
        if self.hostname.is_some() && !has_name {
            return Some(format!(
                "the {protocol} listener's greeting shows no hostname: remove it"
            ));
        }
        if self.max_connections == 0 || self.max_connections_per_address == 0 {
            return Some(format!(
                "the {protocol} listener's limits allow no connection"
            ));
        }
        if protocol.is_implicit_tls() && self.tls.is_none() && !has_tls {
            return Some(format!(
                "the {protocol} listener needs a certificate: set tls.certificate and tls.key"
            ));
        }
        None
    }
}
