//! The hosts of a domain's MX records.

use futures::StreamExt;
use futures::stream;
use hickory_resolver::proto::rr::{Name, RData};
use postrider_types::DomainName;
use rand::seq::SliceRandom;

use super::{Resolver, Route, SMTP, Sought};
use crate::dns::{self, Answer};
use crate::{Error, Host, Ourselves};

/// The most hosts of a domain that are looked for.
const MAX_HOSTS: usize = 20;

/// How many of them at a time.
const AT_A_TIME: usize = 8;

/// A host as its MX record names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exchange {
    preference: u16,
    name: Name,
}

impl Resolver {
    pub(super) async fn by_mx(
        &self,
        domain: &DomainName,
        answer: &Answer,
        ourselves: &Ourselves,
    ) -> Result<Route, Error> {
        let listed = exchanges(answer);
        if listed.is_empty() {
            // RFC 7505 §3: the only record has the root as its host.
            return Err(Error::null_mx(format!("{domain} takes no mail (null MX)")));
        }
        let mut wanted = before_us(listed, |x| ourselves.has_name(&dns::display(&x.name)));
        if wanted.is_empty() {
            return Err(to_us(domain));
        }
        wanted.truncate(MAX_HOSTS);

        // RFC 7672 §2.2.1: MX records that nobody vouches for name hosts that
        // anyone may have chosen, whose TLSA records prove nothing.
        let next_hop = answer.secure.then(|| next_hop(domain, &answer.owner));
        // A closure in the stream would make the whole future one that no task can
        // run: the compiler takes it for valid for one lifetime alone.
        let mut seeking = Vec::with_capacity(wanted.len());
        for x in &wanted {
            seeking.push(self.seek(&x.name, x.preference, SMTP, next_hop.as_deref()));
        }
        let sought: Vec<Sought> = stream::iter(seeking).buffered(AT_A_TIME).collect().await;
        let hosts = usable(domain, sought, ourselves)?;
        Ok(Route {
            hosts,
            secure: answer.secure,
        })
    }
}

/// The hosts by preference, in random order among equals; each once.
fn exchanges(answer: &Answer) -> Vec<Exchange> {
    let exchange = |data: &RData| match data {
        RData::MX(mx) if !mx.exchange.is_root() => {
            let mut name = mx.exchange.clone();
            name.set_fqdn(true);
            Some(Exchange {
                preference: mx.preference,
                name,
            })
        }
        _ => None,
    };
    let mut all: Vec<Exchange> = answer
        .records
        .iter()
        .filter_map(|r| exchange(&r.data))
        .collect();
    // RFC 5321 §5.1: the load is to be spread over equals.
    all.shuffle(&mut rand::rng());
    all.sort_by_key(|x| x.preference);
    let mut seen = std::collections::HashSet::new();
    all.retain(|x| seen.insert(x.name.to_lowercase()));
    all
}

/// What is left of `sorted` before the first that is this server and its equals:
/// mail that moved on from here must not come nearer to where it was (RFC 5321
/// §5.1).
fn before_us<T: Preferred>(mut sorted: Vec<T>, is_us: impl Fn(&T) -> bool) -> Vec<T> {
    if let Some(us) = sorted.iter().find(|x| is_us(x)).map(T::preference) {
        sorted.retain(|x| x.preference() < us);
    }
    sorted
}

trait Preferred {
    fn preference(&self) -> u16;
}

impl Preferred for Exchange {
    fn preference(&self) -> u16 {
        self.preference
    }
}

impl Preferred for Host {
    fn preference(&self) -> u16 {
        self.preference
    }
}

/// The hosts to try, or why there is none.
fn usable(
    domain: &DomainName,
    sought: Vec<Sought>,
    ourselves: &Ourselves,
) -> Result<Vec<Host>, Error> {
    let mut found = Vec::new();
    let mut failure = None;
    for sought in sought {
        match sought {
            Sought::Found(host) => found.push(host),
            Sought::Failed(text) => failure = failure.or(Some(text)),
            Sought::NoAddress(_) => {}
        }
    }
    let any = !found.is_empty();
    let is_us = |h: &Host| h.addresses.iter().any(|a| ourselves.has_address(*a));
    let hosts = before_us(found, is_us);
    match (hosts.is_empty(), failure) {
        (false, _) => Ok(hosts),
        (true, Some(failure)) => Err(Error::dns(failure)),
        (true, None) if any => Err(to_us(domain)),
        (true, None) => Err(Error::no_host(format!(
            "no host in the MX records of {domain} has an address"
        ))),
    }
}

/// The names whose server the hosts are: the domain, and what it is an alias of.
fn next_hop(domain: &DomainName, owner: &Name) -> Vec<String> {
    let mut names = vec![domain.to_string()];
    let owner = dns::display(owner);
    if owner != names[0] {
        names.push(owner);
    }
    names
}

fn to_us(domain: &DomainName) -> Error {
    Error::loops(format!("the MX record of {domain} points to this server"))
}
