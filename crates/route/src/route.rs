//! The hosts that receive for a destination, in the order to try (RFC 5321 §5.1).

mod mx;

use std::net::IpAddr;

use hickory_resolver::proto::rr::{Name, RData, RecordType};
use postrider_types::DomainName;

use crate::address::{Addresses, addresses};
use crate::dane::{Dane, dane};
use crate::dns::{self, Denial, Dns, Found};
use crate::settings::{Family, Settings};
use crate::{Destination, Error, Ourselves, SetupError};

/// The port of the hosts of an MX record: their TLSA records stand there.
const SMTP: u16 = 25;

/// Where mail for a destination goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// In the order to try: 1 to 20.
    pub hosts: Vec<Host>,
    /// The records that name the hosts were validated by DNSSEC.
    pub secure: bool,
}

/// A host that receives mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name in lower case, without a final dot; of an address literal, that
    /// literal.
    pub name: String,
    /// The preference of its MX record, smallest first; 0 where there is none.
    pub preference: u16,
    /// In the order to try: 1 to 20.
    pub addresses: Vec<IpAddr>,
    /// What DANE demands of its certificate.
    pub dane: Dane,
}

/// Finds routes. Cheap to clone; all clones share one cache.
#[derive(Clone)]
pub struct Resolver {
    pub(crate) dns: Dns,
    family: Family,
}

/// What became of looking for one host.
enum Sought {
    Found(Host),
    NoAddress(Denial),
    Failed(String),
}

impl Resolver {
    /// A resolver for these settings. Reads the system's name servers and the
    /// trust anchor's file where the settings say so.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        Ok(Self {
            dns: Dns::new(settings)?,
            family: settings.family,
        })
    }

    /// Finds the hosts that receive for `destination`, without `ourselves` and
    /// whatever is no better.
    ///
    /// A host whose address cannot be found out now is left out where there are
    /// others. Errors: [`Error::Permanent`] for a domain that does not exist or
    /// takes no mail, [`Error::Temporary`] where the name servers fail.
    pub async fn route(
        &self,
        destination: &Destination,
        ourselves: &Ourselves,
    ) -> Result<Route, Error> {
        let domain = match destination {
            Destination::Domain(domain) => domain,
            Destination::Literal(address) => return literal(destination, *address, ourselves),
        };
        let name = dns::name(domain.as_str())?;
        match self.dns.lookup(&name, RecordType::MX).await? {
            Found::Records(answer) => self.by_mx(domain, &answer, ourselves).await,
            Found::Nothing(denial) if denial.nonexistent => Err(self.no_such(domain, &denial)),
            Found::Nothing(denial) => self.by_address(domain, &name, &denial, ourselves).await,
        }
    }

    /// Finds one host by its name, without MX records, such as a smarthost that
    /// listens on `port` (RFC 7672 §2.2.3).
    pub async fn host(&self, host: &DomainName, port: u16) -> Result<Host, Error> {
        let name = dns::name(host.as_str())?;
        match self.seek(&name, 0, port, Some(&[host.to_string()])).await {
            Sought::Found(host) => Ok(host),
            Sought::Failed(text) => Err(Error::dns(text)),
            Sought::NoAddress(denial) if denial.nonexistent => Err(self.no_such(host, &denial)),
            Sought::NoAddress(_) => Err(Error::no_host(format!("{host} has no address"))),
        }
    }

    /// The addresses of the host named `name`, in the order to try.
    pub(crate) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Error> {
        match addresses(&self.dns, self.family, &dns::name(name)?).await? {
            Addresses::Known(known) => Ok(known.addresses),
            Addresses::None(_) => Err(Error::no_host(format!("{name} has no address"))),
        }
    }

    /// The texts of the TXT records at `name`, each in one piece. Those that are
    /// no UTF-8 are left out.
    pub(crate) async fn texts(&self, name: &str) -> Result<Vec<String>, Error> {
        let found = self.dns.lookup(&dns::name(name)?, RecordType::TXT).await?;
        let Found::Records(answer) = found else {
            return Ok(Vec::new());
        };
        let text = |data: &RData| match data {
            RData::TXT(txt) => String::from_utf8(txt.txt_data.concat()).ok(),
            _ => None,
        };
        Ok(answer
            .records
            .iter()
            .filter_map(|r| text(&r.data))
            .collect())
    }

    /// The domain itself is the host where it has no MX record.
    async fn by_address(
        &self,
        domain: &DomainName,
        name: &Name,
        no_mx: &Denial,
        ourselves: &Ourselves,
    ) -> Result<Route, Error> {
        let known = match addresses(&self.dns, self.family, name).await? {
            Addresses::Known(known) => known,
            Addresses::None(denial) if denial.nonexistent => {
                return Err(self.no_such(domain, &denial));
            }
            Addresses::None(denial) => return Err(self.unreachable(domain, &denial).await),
        };
        // Whoever denies the MX records of a signed zone without a signature leads
        // the mail astray.
        if known.secure && !no_mx.holds_beside(&known.owner) {
            return Err(Error::dns(format!(
                "the answer that {domain} has no MX record is not signed, although its zone is"
            )));
        }
        let own_address = known.addresses.iter().any(|a| ourselves.has_address(*a));
        if own_address || ourselves.has_name(domain.as_str()) {
            return Err(Error::loops(format!("{domain} leads to this server")));
        }
        let dane = dane(&self.dns, name, &known, SMTP, &[domain.to_string()]).await;
        Ok(Route {
            hosts: vec![Host {
                name: domain.to_string(),
                preference: 0,
                addresses: known.addresses,
                dane,
            }],
            secure: known.secure,
        })
    }

    /// Looks for one host. `next_hop` are the names whose server it is, where DANE
    /// may speak: only if the records that led to it are secure.
    async fn seek(
        &self,
        host: &Name,
        preference: u16,
        port: u16,
        next_hop: Option<&[String]>,
    ) -> Sought {
        let known = match addresses(&self.dns, self.family, host).await {
            Ok(Addresses::Known(known)) => known,
            Ok(Addresses::None(denial)) => return Sought::NoAddress(denial),
            Err(failure) => return Sought::Failed(failure.0),
        };
        let dane = match next_hop {
            Some(next_hop) => dane(&self.dns, host, &known, port, next_hop).await,
            None => Dane::None,
        };
        Sought::Found(Host {
            name: dns::display(host),
            preference,
            addresses: known.addresses,
            dane,
        })
    }

    /// The error for a name of which it is said that it does not exist.
    fn no_such(&self, domain: &DomainName, denial: &Denial) -> Error {
        match self.dns.validates() && !denial.is_proven() {
            true => Error::dns(format!(
                "the answer that {domain} does not exist is not from its zone"
            )),
            false => Error::no_domain(format!("the domain {domain} does not exist")),
        }
    }

    /// The error for a domain with neither MX record nor address.
    async fn unreachable(&self, domain: &DomainName, denial: &Denial) -> Error {
        match self.dns.is_endless(denial.name()).await {
            Err(failure) => failure.into(),
            // A resolver that follows aliases itself reports SERVFAIL here.
            Ok(true) => Error::dns(format!(
                "the aliases (CNAME) of {domain} run in a circle or are too many"
            )),
            Ok(false) => Error::no_domain(format!("{domain} has neither MX record nor address")),
        }
    }
}

fn literal(
    destination: &Destination,
    address: IpAddr,
    ourselves: &Ourselves,
) -> Result<Route, Error> {
    if ourselves.has_address(address) {
        return Err(Error::loops(format!("{destination} is this server")));
    }
    Ok(Route {
        hosts: vec![Host {
            name: destination.to_string(),
            preference: 0,
            addresses: vec![address],
            dane: Dane::None,
        }],
        secure: false,
    })
}
