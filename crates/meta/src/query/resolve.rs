//! Who receives mail to an address.

use std::collections::{BTreeMap, BTreeSet};

use postrider_kv::{self as kv, Read};
use postrider_types::{AccountId, Address, Millis};
use serde::{Deserialize, Serialize};

use crate::directory::{self, MAX_GROUP_MEMBERS};
use crate::row::Holder;
use crate::{Relay, key, row};

/// How many aliases and groups may lie between an address and a recipient.
const MAX_DEPTH: usize = 10;
/// How many addresses may be looked at on the way: enough for 10,000 accounts,
/// each behind an alias of its own, and bounded for groups of groups.
const MAX_ADDRESSES: usize = 25_000;

/// Who receives mail to an address. Follows aliases, groups, plus details and
/// the catch-all, to a depth of 10 and over at most 25,000 addresses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resolve {
    /// The address of RCPT.
    pub address: Address,
    /// The message's size in bytes as far as it is known, else 0: an account
    /// without room for it is over quota.
    pub size: u64,
    /// The sender is local (authenticated or trusted): internal domains and
    /// groups take the mail.
    pub local_sender: bool,
    /// Accounts without room receive it too: what cannot be told in another way.
    #[serde(default)]
    pub overdraft: bool,
    /// The moment, for expiry dates.
    pub now: Millis,
}

/// What [`Resolve`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resolution {
    /// These receive it, each once, 1 to 10,000 together.
    Local {
        /// Accounts.
        accounts: Vec<Recipient>,
        /// Addresses that aliases and groups lead to, in domains that are not
        /// local, or whose mail goes on to a server behind this one.
        outside: Vec<Outside>,
    },
    /// Not a local domain.
    Foreign,
    /// A local domain without such an address here: the server behind this one may
    /// have it.
    Relayed(Relay),
    /// A local domain without such an address.
    Unknown,
    /// The only account it leads to is closed (expired or being removed).
    Closed,
    /// The only account it leads to has no room. With `exceeds`, the message
    /// alone is larger than the whole quota: it will never fit.
    OverQuota {
        /// Larger than the whole quota.
        exceeds: bool,
    },
    /// Internal domain or group, and the sender is not local.
    Internal,
    /// Leads in a circle, to nobody, or too far; or a catch-all leads outside. The
    /// text says which.
    Undeliverable(String),
}

/// An account that receives a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The account.
    pub account: AccountId,
    /// Its primary address.
    pub address: Address,
    /// The plus detail of the address, if it led here directly.
    pub detail: Option<String>,
}

/// An address outside that receives a message for a local one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// The address.
    pub address: Address,
    /// The last alias or group on the way to it.
    pub via: Address,
    /// That is a group.
    pub list: bool,
    /// Its domain is local, and its mail goes on to a server behind this one.
    pub relayed: bool,
}

pub(super) async fn answer<R: Read>(read: &R, query: Resolve) -> kv::Result<Resolution> {
    let mut walk = Walk {
        read,
        query: &query,
        found: BTreeMap::new(),
        outside: BTreeMap::new(),
        full: BTreeMap::new(),
        problem: None,
    };
    let mut seen = BTreeSet::from([query.address.clone()]);
    let mut level = vec![(query.address.clone(), Way::Asked)];
    for _ in 0..=MAX_DEPTH {
        let mut next = Vec::new();
        for (address, way) in level {
            let (targets, way) = walk.visit(&address, &way).await?;
            for target in targets {
                if seen.insert(target.clone()) {
                    next.push((target, way.clone()));
                }
            }
            if seen.len() > MAX_ADDRESSES {
                return Ok(too_far(&query.address));
            }
        }
        // A list that leads astray is refused whole, so that its keeper hears of
        // it; a closed member is passed over.
        if let Some(problem @ Resolution::Undeliverable(_)) = walk.problem {
            return Ok(problem);
        }
        if next.is_empty() || walk.count() > MAX_GROUP_MEMBERS {
            return Ok(walk.finish());
        }
        level = next;
    }
    Ok(too_far(&query.address))
}

fn too_far(address: &Address) -> Resolution {
    let text = format!("{address} leads through too many aliases and groups");
    Resolution::Undeliverable(text)
}

/// How an address came to be looked at.
#[derive(Clone)]
enum Way {
    /// It is that of the query.
    Asked,
    /// By a catch-all.
    CatchAll,
    /// By this alias or group.
    Via { address: Address, list: bool },
}

/// Where an address leads on to, and how.
type Targets = (Vec<Address>, Way);

/// The way from an address to its accounts.
struct Walk<'a, R> {
    read: &'a R,
    query: &'a Resolve,
    found: BTreeMap<AccountId, Recipient>,
    outside: BTreeMap<Address, Outside>,
    /// Accounts without room.
    full: BTreeMap<AccountId, Recipient>,
    /// The first reason why an address led nowhere.
    problem: Option<Resolution>,
}

impl<R: Read> Walk<'_, R> {
    /// How many were found, as far as they have room.
    fn count(&self) -> usize {
        self.found.len() + self.outside.len()
    }

    /// Notes where `address` leads, to which `way` has led; the addresses to visit
    /// next.
    async fn visit(&mut self, address: &Address, way: &Way) -> kv::Result<Targets> {
        let Some(domain) = directory::domain(self.read, address.domain()).await? else {
            return Ok(self.leave(address, way));
        };
        let asked = matches!(way, Way::Asked);
        if asked && domain.internal && !self.query.local_sender {
            return Ok(self.nowhere(Resolution::Internal));
        }
        if let Some(name) = directory::holder(self.read, address).await? {
            return self.follow(address, name, None).await;
        }
        if let Some((base, detail)) = address.without_detail()
            && let Some(name) = directory::holder(self.read, &base).await?
        {
            return self.follow(&base, name, Some(detail)).await;
        }
        match (domain.catch_all, domain.relay) {
            (Some(catch_all), _) => {
                let catch_all = directory::stored_address(&catch_all)?;
                Ok((vec![catch_all], Way::CatchAll))
            }
            (None, Some(relay)) => Ok(self.pass_on(address, way, relay.view()?)),
            (None, None) => Ok(self.nowhere(Resolution::Unknown)),
        }
    }

    /// Notes an address that only the server behind this one may have. A catch-all
    /// may lead there: that is no outside.
    fn pass_on(&mut self, address: &Address, way: &Way, relay: Relay) -> Targets {
        let (via, list) = match way {
            Way::Asked => return self.nowhere(Resolution::Relayed(relay)),
            Way::CatchAll => (&self.query.address, false),
            Way::Via { address, list } => (address, *list),
        };
        let outside = Outside {
            address: address.clone(),
            via: via.clone(),
            list,
            relayed: true,
        };
        self.outside.insert(address.clone(), outside);
        self.end()
    }

    /// Notes an address outside. A catch-all was set when its target was local:
    /// mail to whatever name does not go outside.
    fn leave(&mut self, address: &Address, way: &Way) -> Targets {
        match way {
            Way::Asked => self.nowhere(Resolution::Foreign),
            Way::CatchAll => {
                let text = format!("{} leads to {address}, outside of here", self.query.address);
                self.nowhere(Resolution::Undeliverable(text))
            }
            Way::Via { address: via, list } => {
                let outside = Outside {
                    address: address.clone(),
                    via: via.clone(),
                    list: *list,
                    relayed: false,
                };
                self.outside.insert(address.clone(), outside);
                self.end()
            }
        }
    }

    /// Nothing to visit next.
    fn end(&self) -> Targets {
        (Vec::new(), Way::Asked)
    }

    /// Notes an address that led nowhere.
    fn nowhere(&mut self, reason: Resolution) -> Targets {
        let undeliverable = matches!(reason, Resolution::Undeliverable(_));
        if self.problem.is_none() || undeliverable {
            self.problem = Some(reason);
        }
        self.end()
    }

    /// Goes from the holder of `address` to its account or its targets.
    async fn follow(
        &mut self,
        address: &Address,
        name: row::Name,
        detail: Option<&str>,
    ) -> kv::Result<Targets> {
        let via = |list| Way::Via {
            address: address.clone(),
            list,
        };
        match name.holder() {
            Holder::Account => {
                self.take(AccountId(name.account), detail).await?;
                Ok(self.end())
            }
            Holder::Alias => {
                let alias: row::Alias = row::get(self.read, &key::alias(address))
                    .await?
                    .unwrap_or_default();
                let targets = alias.targets.iter();
                let targets = targets.map(|target| directory::stored_address(target));
                Ok((targets.collect::<kv::Result<_>>()?, via(false)))
            }
            Holder::Group => {
                let group: row::Group = row::get(self.read, &key::group(address))
                    .await?
                    .unwrap_or_default();
                if group.internal && !self.query.local_sender {
                    return Ok(self.nowhere(Resolution::Internal));
                }
                let members = super::groups::members(self.read, address).await?;
                Ok((members, via(true)))
            }
            Holder::Unknown => Ok(self.nowhere(Resolution::Unknown)),
        }
    }

    /// Takes an account as a recipient if it is open; notes whether it has room.
    async fn take(&mut self, id: AccountId, detail: Option<&str>) -> kv::Result<()> {
        let Some(account) = row::get::<row::Account>(self.read, &key::account(id)).await? else {
            self.nowhere(Resolution::Unknown);
            return Ok(());
        };
        if directory::closed(&account, self.query.now) {
            self.nowhere(Resolution::Closed);
            return Ok(());
        }
        let counters: row::Counters = row::get(self.read, &key::counters(id))
            .await?
            .unwrap_or_default();
        let limit = account.limit();
        // Without a known size the account needs room for one byte.
        let size = self.query.size.max(1);
        let exceeds = limit.bytes.is_some_and(|most| size > most) || limit.messages == Some(0);
        let full = limit
            .bytes
            .is_some_and(|most| counters.bytes.saturating_add(size) > most)
            || limit.messages.is_some_and(|most| counters.messages >= most);
        let recipient = Recipient {
            account: id,
            address: directory::stored_address(&account.address)?,
            detail: detail.map(str::to_owned),
        };
        if exceeds || full {
            self.nowhere(Resolution::OverQuota { exceeds });
            self.full.entry(id).or_insert(recipient);
        } else {
            self.found.entry(id).or_insert(recipient);
        }
        Ok(())
    }

    /// What was found, or why nothing was. A full member of a list receives the
    /// message all the same: the list answers for it with one 250, and nobody
    /// could be told later that this member was left out.
    fn finish(mut self) -> Resolution {
        if self.count() > 0 || self.query.overdraft {
            self.found.append(&mut self.full);
        }
        if self.count() > MAX_GROUP_MEMBERS {
            let text = format!(
                "{} leads to more than {MAX_GROUP_MEMBERS} recipients",
                self.query.address
            );
            return Resolution::Undeliverable(text);
        }
        if self.count() > 0 {
            return Resolution::Local {
                accounts: self.found.into_values().collect(),
                outside: self.outside.into_values().collect(),
            };
        }
        let text = || format!("{} leads in a circle or to nobody", self.query.address);
        self.problem
            .unwrap_or_else(|| Resolution::Undeliverable(text()))
    }
}
