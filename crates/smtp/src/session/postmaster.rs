//! Who receives mail to postmaster, in a domain or without one.

use std::fmt::Display;

use postrider_meta::query::Resolution;
use postrider_meta::{ReadAt, query};
use postrider_proto::smtp::{Mailbox, Reply};
use postrider_types::{Address, DomainName};

use super::deliver;
use super::rcpt::{Lookup, unknown};
use crate::envelope::Found;

/// Local domains that `<postmaster>` is looked for in.
const POSTMASTER_DOMAINS: u32 = 10;

impl Lookup<'_> {
    /// RFC 5321 §4.5.1: postmaster exists in each domain. Its own address
    /// comes first, then the account that the settings name.
    pub(super) async fn postmaster_of(
        &self,
        domain: &DomainName,
        asked: &Mailbox,
    ) -> Result<Found, Reply> {
        let own = match Address::new("postmaster", domain.clone()) {
            Ok(own) => self.resolve(own).await?,
            Err(_) => Resolution::Unknown,
        };
        match (own, &self.settings.postmaster) {
            (Resolution::Foreign, _) => self.foreign(asked),
            (Resolution::Relayed(relay), _) => self.pass_on_postmaster(&relay, domain, asked).await,
            (Resolution::Unknown, Some(configured)) => self.configured(configured, asked).await,
            (Resolution::Unknown, None) => {
                tracing::warn!(
                    domain = domain.as_str(),
                    "mail to postmaster is refused: add an alias postmaster@{domain}, or set smtp.postmaster"
                );
                Err(unknown(asked))
            }
            (own, _) => self.refer(own, asked),
        }
    }

    /// The postmaster that the settings name, here or on a server behind this one.
    pub(super) async fn configured(
        &self,
        postmaster: &Address,
        asked: &(dyn Display + Sync),
    ) -> Result<Found, Reply> {
        match self.resolve(postmaster.clone()).await? {
            Resolution::Relayed(relay) => {
                let domain = postmaster.domain();
                self.pass_on(&relay, domain, postmaster.to_string()).await
            }
            found => self.refer(found, asked),
        }
    }

    /// `<postmaster>` without a domain: the account that the settings name,
    /// else the first local domain that has one.
    pub(super) async fn postmaster(&self) -> Result<Found, Reply> {
        if let Some(configured) = &self.settings.postmaster {
            return self.configured(configured, &"postmaster").await;
        }
        let question = query::Domains {
            after: None,
            limit: POSTMASTER_DOMAINS,
        };
        let domains = self.meta.ask(question, ReadAt::Latest).await;
        let (domains, _) = domains.map_err(|error| deliver::unavailable(&error))?;
        for domain in domains.items {
            if let Ok(address) = Address::new("postmaster", domain.name)
                && let found @ Resolution::Local { .. } = self.resolve(address).await?
            {
                return self.refer(found, &"postmaster");
            }
        }
        tracing::warn!("mail to postmaster is refused: set smtp.postmaster");
        Err(unknown(&"postmaster"))
    }
}
