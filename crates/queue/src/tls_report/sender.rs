//! [`Sender`]: in whose name reports about TLS go.

use postrider_meta::{Error, ReadAt, query};
use postrider_types::{Address, DomainName};

use super::ReportError;
use crate::courier::Shared;

/// Local domains in one page.
const PAGE: u32 = 1_000;

/// In whose name reports go.
pub(super) struct Sender {
    /// The domain, which signs them (RFC 8460 §3).
    pub(super) domain: DomainName,
    /// The address.
    pub(super) address: String,
}

impl Sender {
    /// The sender of the settings, else `postmaster` at a local domain that has
    /// keys: the one that the hostname lies in, else the first by name. Nobody whose
    /// domain cannot sign.
    pub(super) async fn find(shared: &Shared) -> Result<Self, ReportError> {
        let from = shared.settings.tls_reports.from.as_deref();
        if let Some(address) = from.and_then(|from| Address::parse(from).ok()) {
            let domain = address.domain().clone();
            if shared.signing.signer(&domain).await?.is_none() {
                return Err(ReportError::Unsigned(domain));
            }
            return Ok(Self {
                domain,
                address: address.to_string(),
            });
        }
        let domain = by_keys(shared).await?.ok_or(ReportError::NoKeys)?;
        Ok(Self {
            address: format!("postmaster@{domain}"),
            domain,
        })
    }
}

async fn by_keys(shared: &Shared) -> Result<Option<DomainName>, Error> {
    let hostname = &shared.handles.hostname;
    let mut first = None;
    let mut after = None;
    loop {
        let ask = query::Domains { after, limit: PAGE };
        let (page, _) = shared.handles.meta.ask(ask, ReadAt::Latest).await?;
        for domain in page.items {
            let name = domain.name;
            let ours = lies_in(hostname, &name);
            if (first.is_some() && !ours) || shared.signing.signer(&name).await?.is_none() {
                continue;
            }
            if ours {
                return Ok(Some(name));
            }
            first = Some(name);
        }
        after = page.next;
        if after.is_none() {
            return Ok(first);
        }
    }
}

/// Whether `host` is `domain` or below it.
fn lies_in(host: &str, domain: &DomainName) -> bool {
    let host = host.to_ascii_lowercase();
    let above = host.strip_suffix(domain.as_str());
    above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_lies_in_its_domain_and_those_above() {
        let domain = DomainName::parse("example.org").unwrap();
        for host in ["example.org", "mx.Example.org", "a.b.example.org"] {
            assert!(lies_in(host, &domain), "{host}");
        }
        assert!(!lies_in("mx.badexample.org", &domain));
    }
}
