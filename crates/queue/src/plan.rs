//! [`Planner`]: the hosts to try for a destination, in their order, each with
//! how the connection is to be protected: by the settings' routes, else by DNS.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use postrider_meta::{Client, QueueEnvelope, ReadAt, Relay, RelayTls, TlsPolicy, Token, query};
use postrider_relay::{Connection, Connector, Failure, Login, Peer, Security};
use postrider_route::sts::{Mode, Policy};
use postrider_route::{Dane, Destination, Host, Ourselves, Resolver, Sts};
use postrider_types::{self as types, DomainName, HostPort};
use rand::seq::IndexedRandom;

use crate::addresses::Addresses;
use crate::collector::Collector;
use crate::courier::Handles;
use crate::demand::{Demand, Finding, Vouched};
use crate::policies::Policies;
use crate::roster::Roster;
use crate::route::Route;
use crate::settings::{Pattern, RouteTls, Settings};
use crate::trouble::Trouble;

/// One host at one address.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) peer: Peer,
    pub(crate) security: Security,
    pub(crate) login: Option<Login>,
    /// Where `security` is not to be had, less will do.
    pub(crate) lenient: bool,
    /// Under which policy its success or failure counts; none where it is not
    /// reported.
    pub(crate) policy: Option<Arc<TlsPolicy>>,
    /// What was wrong with its domain or its hosts before this one is tried.
    pub(crate) findings: Vec<Finding>,
    /// The domain that is told of both; none where it is no host of an MX record.
    pub(crate) domain: Option<DomainName>,
    /// Whoever has the destination's domain says where it goes: only so many connections
    /// go to its address. Otherwise an administrator does.
    pub(crate) open: bool,
}

/// How much the sender of a message cares for TLS (RFC 8689).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsWish {
    /// All the way, to servers that prove who they are.
    Required,
    /// The same where it is to be had: a notice about a message that required it.
    Preferred,
    /// As the receiving domain wants it.
    Usual,
    /// Whatever the receiving domain wants: better unprotected than not at all.
    Waived,
}

impl TlsWish {
    pub(crate) fn of(envelope: &QueueEnvelope) -> Self {
        match (envelope.require_tls, envelope.tls_optional) {
            // RFC 8689 §5: that a server lacks REQUIRETLS is no reason to lose a notice.
            (true, _) if envelope.reverse_path.is_empty() => Self::Preferred,
            (true, _) => Self::Required,
            (false, false) => Self::Usual,
            (false, true) => Self::Waived,
        }
    }
}

/// Makes plans.
pub(crate) struct Planner {
    pub(crate) connector: Connector,
    pub(crate) resolver: Resolver,
    /// The connections to addresses of open destinations.
    pub(crate) addresses: Addresses,
    results: Arc<Collector>,
    sts: Sts,
    policies: Policies,
    meta: Client,
    routes: Vec<Route>,
    roster: Roster,
    sources: Vec<IpAddr>,
    port: u16,
}

impl Planner {
    /// Fails where a password or an authority cannot be read or a name is none.
    pub(crate) fn new(
        handles: &Handles,
        settings: &Settings,
        results: Arc<Collector>,
    ) -> Result<Self, String> {
        let authorities = crate::authorities::read(settings.extra_authorities.as_deref())?;
        let connector = Connector::new(settings.client.clone(), &handles.hostname, &authorities);
        let routes = settings.route.iter().map(Route::read);
        let resolver = Resolver::new(&settings.dns).map_err(|error| error.to_string())?;
        let sts = Sts::new(resolver.clone(), &settings.sts);
        Ok(Self {
            connector: connector.map_err(|error| error.to_string())?,
            resolver,
            addresses: Addresses::new(settings.connections_per_address),
            results,
            sts: sts.map_err(|error| error.to_string())?,
            policies: Policies::new(handles.meta.clone()),
            meta: handles.meta.clone(),
            routes: routes.collect::<Result<_, String>>()?,
            roster: Roster::new(
                handles.meta.clone(),
                Ourselves {
                    names: DomainName::parse(&handles.hostname).into_iter().collect(),
                    addresses: handles.addresses.iter().copied().collect::<HashSet<_>>(),
                    loopback: !settings.loopback,
                },
            ),
            sources: settings.source_addresses.clone(),
            port: settings.port,
        })
    }

    /// Notes what was wrong before a host is tried.
    pub(crate) fn find(&self, step: &mut Step) {
        if let Some(domain) = &step.domain {
            let findings = std::mem::take(&mut step.findings);
            self.results.find(domain, findings, self.meta.clock().now());
        }
    }

    /// Notes how a connection came out.
    pub(crate) fn note(&self, step: &Step, opened: &Result<Connection, Failure>) {
        self.results.note(step, opened, self.meta.clock().now());
    }

    /// What to try for `destination`, as the metadata have it at `at` or later. Where TLS
    /// is required, only what proves who it is (RFC 8689 §4.2.1).
    pub(crate) async fn plan(
        &self,
        destination: &str,
        wish: TlsWish,
        at: Token,
    ) -> Result<Vec<Step>, Trouble> {
        let parsed: Destination = destination.parse().map_err(|error| {
            Trouble::ours(
                (5, 1, 2),
                format!("{destination} is no destination: {error}"),
            )
        })?;
        // What a domain of ours goes on to is known to all nodes, and was asked about
        // the recipients: no route of one node's settings outweighs it.
        if let Some(relay) = self.relay(&parsed, at).await? {
            return self.to_relay(&relay, wish).await;
        }
        if let Some(route) = self.configured(&parsed) {
            return self.by_settings(route, wish).await;
        }
        let ourselves = self.roster.ourselves().await;
        let route = self.resolver.route(&parsed, &ourselves).await?;
        let mut findings = Vec::new();
        let policy = match wish {
            TlsWish::Waived => None,
            _ => self.policy(&parsed, at, &mut findings).await?,
        };
        let domain = match &parsed {
            Destination::Domain(domain) => Some(domain),
            _ => None,
        };
        let vouched = Vouched {
            by_dnssec: route.secure,
            by_policy: policy.as_ref(),
            // Later there may be a policy.
            unsure: !findings.is_empty(),
        };
        let mut steps = Vec::new();
        let mut refused = None;
        for host in &route.hosts {
            match Demand::of(host, domain, &vouched, wish) {
                Ok(demand) => {
                    findings.extend(demand.finding.clone());
                    let new = self.demanded(host, demand, domain);
                    let before = steps.len();
                    steps.extend(new);
                    if let Some(first) = steps.get_mut(before) {
                        first.findings = std::mem::take(&mut findings);
                    }
                }
                Err(not) => {
                    findings.extend(not.finding.map(|finding| *finding));
                    refused = Some(not.trouble);
                }
            }
        }
        match (steps.is_empty(), refused) {
            (true, Some(trouble)) => {
                if let Some(domain) = domain {
                    self.results.find(domain, findings, self.meta.clock().now());
                }
                Err(trouble)
            }
            (true, None) => Err(Trouble::ours((4, 4, 1), "no host has an address")),
            (false, _) => Ok(steps),
        }
    }

    /// What the domain promises of its hosts by MTA-STS, unless that is nothing.
    async fn policy(
        &self,
        destination: &Destination,
        at: Token,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<Policy>, Trouble> {
        let Destination::Domain(domain) = destination else {
            return Ok(None);
        };
        let now = self.meta.clock().now();
        let cache = self.policies.since(at);
        let found = self.sts.policy(domain, &cache, now).await?;
        if let Some(problem) = &found.problem {
            tracing::warn!(%domain, problem = problem.text, "the MTA-STS policy is not to be had");
            findings.push(Finding::no_policy(problem));
        }
        let policy = found.policy.map(|kept| kept.policy);
        Ok(policy.filter(|policy| policy.mode != Mode::None))
    }

    /// The steps to a host of `domain`.
    fn demanded(&self, host: &Host, demand: Demand, domain: Option<&DomainName>) -> Vec<Step> {
        let policy = demand.policy.map(Arc::new);
        let step = |step| Step {
            lenient: demand.lenient,
            policy: policy.clone(),
            domain: domain.cloned(),
            open: true,
            ..step
        };
        self.steps(host, &demand.security, self.port, None, false)
            .map(step)
            .collect()
    }

    /// The route that the settings have for a destination: its own before that
    /// for all.
    fn configured(&self, destination: &Destination) -> Option<&Route> {
        let Destination::Domain(domain) = destination else {
            return None;
        };
        let own = |route: &&Route| matches!(&route.to.domain, Pattern::Domain(it) if it == domain);
        let all = |route: &&Route| route.to.domain == Pattern::All;
        let routes = || self.routes.iter();
        routes().find(own).or_else(|| routes().find(all))
    }

    /// Where a domain of ours goes on to.
    async fn relay(&self, destination: &Destination, at: Token) -> Result<Option<Relay>, Trouble> {
        let Destination::Domain(domain) = destination else {
            return Ok(None);
        };
        let name = domain.clone();
        // Its MX may well be this server: a relay that was set when the message came must
        // not be missed. A later state costs no other node a question.
        let at = ReadAt::AtLeast(at);
        let answer = self.meta.ask(query::Domain { name }, at).await;
        let (domain, _) = answer.map_err(|error| {
            let text = format!("where the domain's mail goes cannot be read: {error}");
            Trouble::ours((4, 3, 0), text)
        })?;
        match domain {
            Some(domain) if domain.relay.is_none() => {
                // It went on when the message came. Anybody else would send it back here.
                let text = format!("{} is here, and goes on to no other server", domain.name);
                Err(Trouble::ours((4, 4, 6), text))
            }
            domain => Ok(domain.and_then(|domain| domain.relay)),
        }
    }

    /// What to try for the server behind this one.
    pub(crate) async fn to_relay(
        &self,
        relay: &Relay,
        wish: TlsWish,
    ) -> Result<Vec<Step>, Trouble> {
        let tls = match relay.tls {
            RelayTls::Opportunistic => RouteTls::Opportunistic,
            RelayTls::Verified => RouteTls::Verified,
            RelayTls::Off => RouteTls::Off,
        };
        self.to_server(&relay.to, tls, None, wish).await
    }

    async fn by_settings(&self, route: &Route, wish: TlsWish) -> Result<Vec<Step>, Trouble> {
        let server = route.to.server();
        let server = server.map_err(|error| Trouble::ours((4, 3, 5), error))?;
        let login = route.login.as_ref();
        self.to_server(&server, route.to.tls, login, wish).await
    }

    /// What to try for one server that somebody has named.
    async fn to_server(
        &self,
        server: &HostPort,
        tls: RouteTls,
        login: Option<&Login>,
        wish: TlsWish,
    ) -> Result<Vec<Step>, Trouble> {
        let usual = match tls {
            RouteTls::Implicit => 465,
            _ => 25,
        };
        let port = server.port.unwrap_or(usual);
        let name = server.host.to_string();
        let host = match &server.host {
            types::Host::Address(address) => Host {
                name: name.clone(),
                preference: 0,
                addresses: vec![*address],
                dane: Dane::None,
            },
            types::Host::Name(domain) => {
                let found = self.resolver.host(domain, port).await;
                // A smarthost without an address is a matter of settings, here or
                // there: nobody's mail is sent back for it.
                found.map_err(|error| Trouble {
                    permanent: false,
                    ..Trouble::from(error)
                })?
            }
        };
        let verified = || Security::Verified {
            names: vec![name.clone()],
        };
        let (security, implicit) = match tls {
            // Whoever requires TLS wants to know who is at the other end.
            RouteTls::Opportunistic if wish == TlsWish::Required => (verified(), false),
            RouteTls::Opportunistic => (Security::Opportunistic, false),
            RouteTls::Verified => (verified(), false),
            RouteTls::Implicit => (verified(), true),
            RouteTls::Off => (Security::Plain, false),
        };
        Ok(self
            .steps(&host, &security, port, login, implicit)
            .collect())
    }

    fn steps<'a>(
        &'a self,
        host: &'a Host,
        security: &'a Security,
        port: u16,
        login: Option<&'a Login>,
        implicit_tls: bool,
    ) -> impl Iterator<Item = Step> + 'a {
        host.addresses.iter().map(move |address| Step {
            peer: Peer {
                host: host.name.clone(),
                address: SocketAddr::new(*address, port),
                source: self.source(*address),
                implicit_tls,
            },
            security: security.clone(),
            login: login.cloned(),
            lenient: false,
            policy: None,
            findings: Vec::new(),
            domain: None,
            open: false,
        })
    }

    /// One of our addresses of the same family.
    fn source(&self, to: IpAddr) -> Option<IpAddr> {
        let same = self
            .sources
            .iter()
            .filter(|ours| ours.is_ipv4() == to.is_ipv4());
        let same: Vec<IpAddr> = same.copied().collect();
        same.choose(&mut rand::rng()).copied()
    }
}
