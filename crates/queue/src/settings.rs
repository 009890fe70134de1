//! The settings section `[queue]`: how mail leaves.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use postrider_types::{Address, DomainName, HostPort, human};
use serde::{Deserialize, Serialize};

use crate::gateway::GatewaySettings;

/// How mail leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The pauses between attempts; the last one is repeated until the lifetime
    /// is over.
    pub retry: Vec<Span>,
    /// How long a message is tried before it goes back to its sender.
    #[serde(with = "human::duration")]
    pub lifetime: Duration,
    /// After this time its sender is told that a message is still waiting; 0 for
    /// never.
    #[serde(with = "human::duration")]
    pub warn_after: Duration,
    /// The most messages that this node has in hand at once, 1 to 10,000. What
    /// waits beyond that stays in the metadata.
    pub window: usize,
    /// The most connections to other servers at once.
    pub connections: usize,
    /// The most connections to one destination at once.
    pub connections_per_destination: usize,
    /// The most connections at once to one address (IPv6: one /64) of other servers,
    /// whatever they are called, 1 to 10,000. Those of routes and of the servers behind
    /// this one may have more.
    pub connections_per_address: usize,
    /// The most messages per minute from this node to one destination, up to 60,000;
    /// 0 for any number.
    pub rate_per_destination: u32,
    /// The most messages over one connection.
    pub messages_per_connection: u32,
    /// How long a destination that cannot be reached rests at the most.
    #[serde(with = "human::duration")]
    pub longest_rest: Duration,
    /// Addresses to connect from, for each connection one at random of those of the
    /// other side's family; empty, or without one of it, lets the system choose.
    pub source_addresses: Vec<IpAddr>,
    /// The port of other servers. Something else than 25 is for tests.
    pub port: u16,
    /// Take loopback addresses in DNS for other servers. Otherwise they count as
    /// this one, as which they would make a loop.
    pub loopback: bool,
    /// Where mail for some domains, or all, goes instead of to its MX.
    pub route: Vec<RouteTo>,
    /// A PEM file with authorities that certificates of servers may come from, besides
    /// those of the web.
    pub extra_authorities: Option<PathBuf>,
    /// Other limits for some destinations, or all.
    pub limit: Vec<LimitTo>,
    /// Asking the servers behind this one about recipients.
    pub gateway: GatewaySettings,
    /// Time limits of the client.
    pub client: postrider_relay::Settings,
    /// Looking up names.
    pub dns: postrider_route::Settings,
    /// The policies of domains that demand verified TLS (MTA-STS).
    pub sts: postrider_route::sts::Settings,
    /// Reports to other domains about the TLS of mail to them.
    pub tls_reports: TlsReports,
}

impl Default for Settings {
    fn default() -> Self {
        let minutes = |n: u64| Span(Duration::from_secs(n * 60));
        Self {
            retry: [1, 5, 15, 60, 180, 360].map(minutes).to_vec(),
            lifetime: Duration::from_secs(5 * 24 * 3600),
            warn_after: Duration::from_secs(4 * 3600),
            window: 1000,
            connections: 200,
            connections_per_destination: 10,
            connections_per_address: 20,
            rate_per_destination: 0,
            messages_per_connection: 100,
            longest_rest: Duration::from_secs(900),
            source_addresses: Vec::new(),
            port: 25,
            loopback: false,
            route: Vec::new(),
            extra_authorities: None,
            limit: Vec::new(),
            gateway: Default::default(),
            client: Default::default(),
            dns: Default::default(),
            sts: Default::default(),
            tls_reports: Default::default(),
        }
    }
}

/// Reports about TLS (RFC 8460).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsReports {
    /// Count how secure connections to domains were that ask for reports, and send
    /// these each day.
    pub enabled: bool,
    /// The sender of reports, in a domain that signs. None: `postmaster` at the
    /// local domain with keys that the hostname lies in, else at the first with keys.
    pub from: Option<String>,
    /// Whom to ask about a report, as it tells. None: the sender.
    pub contact: Option<String>,
}

impl Default for TlsReports {
    fn default() -> Self {
        Self {
            enabled: true,
            from: None,
            contact: None,
        }
    }
}

impl TlsReports {
    fn check(&self) -> Result<(), String> {
        let named = [("from", &self.from), ("contact", &self.contact)];
        for (name, value) in named {
            if let Some(text) = value {
                Address::parse(text).map_err(|error| {
                    format!("queue.tls_reports.{name}: `{text}` is no address: {error}")
                })?;
            }
        }
        Ok(())
    }
}

/// A duration as people write it: `15m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(#[serde(with = "human::duration")] pub Duration);

/// Where mail for some domains goes: an entry `[[queue.route]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteTo {
    /// The domain, or `*` for all that have no route of their own (a smarthost).
    pub domain: Pattern,
    /// The server that takes it, `HOST` or `HOST:PORT`. Port 25 unless named.
    pub host: String,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: RouteTls,
    /// The user to log in as.
    #[serde(default)]
    pub user: Option<String>,
    /// A file with the password on its first line.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// What some destinations may get from this node: an entry `[[queue.limit]]`. What
/// it does not name is as for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitTo {
    /// The domain, or `*` for all that have no limit of their own.
    pub domain: Pattern,
    /// The most connections at once, 1 to 1,000.
    #[serde(default)]
    pub connections: Option<usize>,
    /// The most messages per minute, up to 60,000; 0 for any number.
    #[serde(default)]
    pub rate: Option<u32>,
}

/// Which domains a [`RouteTo`] or a [`LimitTo`] is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pattern {
    /// All that have nothing of their own.
    All,
    /// This one.
    Domain(DomainName),
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::All);
        }
        let name = DomainName::parse(&text);
        name.map(Self::Domain)
            .map_err(|error| format!("`{text}` is neither a domain nor `*`: {error}"))
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        match pattern {
            Pattern::All => "*".into(),
            Pattern::Domain(name) => name.as_str().into(),
        }
    }
}

/// How the connection of a [`RouteTo`] is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteTls {
    /// STARTTLS where it is offered, with any certificate. Not with a login.
    Opportunistic,
    /// STARTTLS, and the certificate must name the host.
    #[default]
    Verified,
    /// TLS from the start (port 465), and the certificate must name the host.
    Implicit,
    /// Never TLS: within one's own walls. Not with a login.
    Off,
}

impl Settings {
    /// Says what is wrong with the settings, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        if self.retry.is_empty() || self.retry.iter().any(|span| span.0 < MIN_RETRY) {
            return Err("queue.retry needs at least one pause, each 1s or longer".into());
        }
        if self.lifetime < Duration::from_secs(60) {
            return Err("queue.lifetime may be 1m or longer; 5d is usual".into());
        }
        range("queue.window", self.window, 1, 10_000)?;
        range("queue.connections", self.connections, 1, 10_000)?;
        let per = self.connections_per_destination;
        range("queue.connections_per_destination", per, 1, MAX_CONNECTIONS)?;
        let per = self.connections_per_address;
        range("queue.connections_per_address", per, 1, 10_000)?;
        let rate = self.rate_per_destination as usize;
        range("queue.rate_per_destination", rate, 0, MAX_RATE)?;
        if self.messages_per_connection == 0 {
            return Err("queue.messages_per_connection may be 1 or more".into());
        }
        self.gateway.check()?;
        self.client.check()?;
        self.dns.check()?;
        self.sts.check()?;
        self.tls_reports.check()?;
        self.limit.iter().try_for_each(LimitTo::check)?;
        self.route.iter().try_for_each(RouteTo::check)
    }
}

/// The shortest pause between two attempts.
const MIN_RETRY: Duration = Duration::from_secs(1);
/// The most connections to one destination.
const MAX_CONNECTIONS: usize = 1000;
/// The most messages per minute that can be spaced: one per millisecond.
const MAX_RATE: usize = 60_000;

fn range(name: &str, value: usize, least: usize, most: usize) -> Result<(), String> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => Err(format!("{name} is {value}; it may be {least} to {most}")),
    }
}

impl LimitTo {
    fn check(&self) -> Result<(), String> {
        let name = String::from(self.domain.clone());
        let connections = self.connections.unwrap_or(1);
        let key = format!("queue.limit: connections of {name}");
        range(&key, connections, 1, MAX_CONNECTIONS)?;
        let rate = self.rate.unwrap_or(0) as usize;
        range(&format!("queue.limit: rate of {name}"), rate, 0, MAX_RATE)
    }
}

impl RouteTo {
    fn check(&self) -> Result<(), String> {
        let host = &self.host;
        self.server()?;
        if self.user.is_some() != self.password_file.is_some() {
            return Err(format!(
                "queue.route to {host}: user and password_file go together"
            ));
        }
        let proven = matches!(self.tls, RouteTls::Verified | RouteTls::Implicit);
        if self.user.is_some() && !proven {
            return Err(format!(
                "queue.route to {host}: a password is for a server that proves its name \
                 alone; set tls to verified or implicit, and name the authority of a \
                 certificate of your own in queue.extra_authorities"
            ));
        }
        Ok(())
    }

    /// The server that takes it; what is wrong with its name otherwise.
    pub(crate) fn server(&self) -> Result<HostPort, String> {
        let parsed = self.host.parse::<HostPort>();
        parsed.map_err(|error| format!("queue.route: `{}` is no server: {error}", self.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(host: &str) -> RouteTo {
        RouteTo {
            domain: Pattern::All,
            host: host.into(),
            tls: RouteTls::default(),
            user: None,
            password_file: None,
        }
    }

    #[test]
    fn the_defaults_are_allowed_and_nonsense_is_not() {
        let good = Settings::default();
        assert_eq!(good.check(), Ok(()));
        let bad = [
            Settings {
                retry: Vec::new(),
                ..good.clone()
            },
            Settings {
                window: 0,
                ..good.clone()
            },
            Settings {
                messages_per_connection: 0,
                ..good.clone()
            },
            Settings {
                rate_per_destination: 60_001,
                ..good.clone()
            },
            Settings {
                limit: vec![LimitTo {
                    domain: Pattern::All,
                    connections: Some(0),
                    rate: None,
                }],
                ..good.clone()
            },
            Settings {
                route: vec![RouteTo {
                    user: Some("me".into()),
                    ..route("relay.test")
                }],
                ..good
            },
        ];
        for settings in bad {
            assert!(settings.check().is_err(), "{settings:?}");
        }
    }

    #[test]
    fn a_password_is_for_a_server_that_proves_its_name() {
        let with = |tls| RouteTo {
            tls,
            user: Some("me".into()),
            password_file: Some("file".into()),
            ..route("relay.test")
        };
        for tls in [RouteTls::Verified, RouteTls::Implicit] {
            assert_eq!(with(tls).check(), Ok(()));
        }
        for tls in [RouteTls::Opportunistic, RouteTls::Off] {
            let refusal = with(tls).check().unwrap_err();
            assert!(refusal.contains("set tls to verified"), "{refusal}");
            let without = RouteTo {
                tls,
                ..route("relay.test")
            };
            assert_eq!(without.check(), Ok(()));
        }
    }

    #[test]
    fn a_route_leads_to_a_server() {
        assert!(route("relay.test:587").check().is_ok());
        assert!(route("relay.test:x").check().is_err());
    }
}
