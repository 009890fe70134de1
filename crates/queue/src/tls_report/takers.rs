//! [`Takers`]: who gets a report by mail, in mailboxes here and elsewhere.
//!
//! The places were named by a stranger: who may not write to an address here does not
//! reach it by a report either, and no list and no group is written to.

use std::collections::BTreeMap;

use postrider_meta::query::{Recipient, Resolution, Resolve};
use postrider_meta::{Error, ReadAt};
use postrider_types::{AccountId, Address, DomainName};

use crate::courier::Shared;

/// Who gets a report by mail.
#[derive(Default)]
pub(super) struct Takers {
    /// The places that are theirs.
    pub(super) places: Vec<Address>,
    /// Mailboxes here, each once.
    pub(super) accounts: BTreeMap<AccountId, Recipient>,
    /// Addresses elsewhere.
    pub(super) outside: Vec<String>,
}

impl Takers {
    /// Those who are behind `places`, which `domain` has named, for a report of `size`
    /// bytes. A place here that nobody has is dropped.
    pub(super) async fn find(
        shared: &Shared,
        domain: &DomainName,
        places: Vec<Address>,
        size: usize,
    ) -> Result<Self, Error> {
        let meta = &shared.handles.meta;
        let mut takers = Self::default();
        for place in places {
            let resolve = Resolve {
                address: place.clone(),
                size: size as u64,
                local_sender: false,
                notice: true,
                overdraft: false,
                now: meta.clock().now(),
            };
            let (resolution, _) = meta.ask(resolve, ReadAt::Latest).await?;
            match takers.add(&place, resolution) {
                Ok(()) => takers.places.push(place),
                Err(why) => tracing::warn!(
                    %domain, %place, why,
                    "a place for reports about TLS is ours and takes none; it is dropped"
                ),
            }
        }
        Ok(takers)
    }

    /// Adds whom a place leads to, or says why it leads to nobody.
    fn add(&mut self, place: &Address, resolution: Resolution) -> Result<(), String> {
        match resolution {
            Resolution::Foreign | Resolution::Relayed(_) => self.add_outside(place),
            Resolution::Local {
                accounts,
                outside,
                lists,
            } => match (&accounts[..], &outside[..], &lists[..]) {
                ([account], [], []) => {
                    self.accounts.insert(account.account, account.clone());
                }
                ([], [outside], []) => self.add_outside(&outside.address),
                _ => return Err("it is a list or a group".into()),
            },
            Resolution::Unknown => return Err("there is no such mailbox".into()),
            other => return Err(format!("{other:?}")),
        }
        Ok(())
    }

    fn add_outside(&mut self, address: &Address) {
        let address = address.to_string();
        if !self.outside.contains(&address) {
            self.outside.push(address);
        }
    }
}
