//! The way from an address to those who receive its mail: one step of it after the
//! other, and what was found on it. How many steps there may be is not said here.

use std::collections::BTreeMap;

use postrider_kv::{self as kv, Read};
use postrider_types::{AccountId, Address};

use super::{List, Membership, Outside, Recipient, Resolution, Resolve, Step, Way};
use crate::directory::MAX_GROUP_MEMBERS;
use crate::row::Holder;
use crate::{Relay, directory, key, query, row};

/// Where an address leads on to, and how.
pub(super) type Targets = (Vec<Address>, Way);

/// The way from an address to its accounts.
pub(super) struct Walk<'a, R> {
    read: &'a R,
    query: &'a Resolve,
    found: BTreeMap<AccountId, Recipient>,
    outside: BTreeMap<Address, Outside>,
    /// Accounts without room.
    full: BTreeMap<AccountId, Recipient>,
    /// The lists that were gone through.
    lists: Vec<List>,
    /// It leads to the owner of a list who is the postmaster of its domain.
    default_owner: bool,
    /// The first reason why an address led nowhere.
    pub(super) problem: Option<Resolution>,
}

impl<'a, R: Read> Walk<'a, R> {
    /// A way that has not begun.
    pub(super) fn new(read: &'a R, query: &'a Resolve) -> Self {
        Self {
            read,
            query,
            found: BTreeMap::new(),
            outside: BTreeMap::new(),
            full: BTreeMap::new(),
            lists: Vec::new(),
            default_owner: false,
            problem: None,
        }
    }

    /// How many were found, as far as they have room.
    pub(super) fn count(&self) -> usize {
        self.found.len() + self.outside.len()
    }

    /// Notes where `address` leads, to which `way` has led; the addresses to visit
    /// next.
    pub(super) async fn visit(&mut self, address: &Address, way: &Way) -> kv::Result<Targets> {
        let Some(domain) = directory::domain(self.read, address.domain()).await? else {
            return Ok(self.leave(address, way));
        };
        // Bounces come from outside, also where posts do not.
        if let Some(to_owner) = self.bounces(address).await? {
            return Ok(to_owner);
        }
        let asked = matches!(way.step, Step::Asked);
        if asked && domain.internal && !self.query.local_sender {
            return Ok(self.nowhere(Resolution::Internal));
        }
        if let Some(name) = directory::holder(self.read, address).await? {
            return self.follow(address, name, None, address, way).await;
        }
        if let Some((base, detail)) = address.without_detail()
            && let Some(name) = directory::holder(self.read, &base).await?
        {
            return self.follow(&base, name, Some(detail), address, way).await;
        }
        match (domain.catch_all, domain.relay) {
            (Some(catch_all), _) => {
                let catch_all = directory::stored_address(&catch_all)?;
                let way = Way {
                    step: Step::CatchAll,
                    ..way.clone()
                };
                Ok((vec![catch_all], way))
            }
            (None, Some(relay)) => Ok(self.pass_on(address, way, relay.view()?)),
            (None, None) => Ok(self.nowhere(Resolution::Unknown)),
        }
    }

    /// Notes an address that only the server behind this one may have. A catch-all
    /// may lead there: that is no outside.
    fn pass_on(&mut self, address: &Address, way: &Way, relay: Relay) -> Targets {
        let (via, group) = match &way.step {
            Step::Asked => return self.nowhere(Resolution::Relayed(relay)),
            Step::CatchAll => (&self.query.address, false),
            Step::Via { address, group, .. } => (address, *group),
        };
        let outside = Outside {
            address: address.clone(),
            via: via.clone(),
            group,
            relayed: true,
            member: way.member(address),
        };
        self.outside.insert(address.clone(), outside);
        self.end()
    }

    /// Where the bounces of a list lead, if `address` takes them: to its owner, who
    /// gets them as such and not as a member. Who posted is no matter: what strangers
    /// write themselves does not come to an owner inside by this way.
    async fn bounces(&mut self, address: &Address) -> kv::Result<Option<Targets>> {
        let Some((base, directory::BOUNCES)) = address.without_detail() else {
            return Ok(None);
        };
        let group = row::get::<row::Group>(self.read, &key::group(&base)).await?;
        let Some(group) = group.filter(|group| group.list) else {
            return Ok(None);
        };
        let owner = match group.owner {
            Some(owner) => directory::stored_address(&owner)?,
            None => {
                self.default_owner = true;
                directory::stored_address(&format!("postmaster@{}", base.domain()))?
            }
        };
        let step = Step::Via {
            address: base,
            group: false,
            list: false,
        };
        let way = Way {
            step,
            list: None,
            inside: self.query.notice,
        };
        Ok(Some((vec![owner], way)))
    }

    /// Notes an address outside. A catch-all was set when its target was local:
    /// mail to whatever name does not go outside.
    fn leave(&mut self, address: &Address, way: &Way) -> Targets {
        match &way.step {
            Step::Asked => self.nowhere(Resolution::Foreign),
            Step::CatchAll => {
                let text = format!("{} leads to {address}, outside of here", self.query.address);
                self.nowhere(Resolution::Undeliverable(text))
            }
            Step::Via {
                address: via,
                group,
                ..
            } => {
                let outside = Outside {
                    address: address.clone(),
                    via: via.clone(),
                    group: *group,
                    relayed: false,
                    member: way.member(address),
                };
                self.outside.insert(address.clone(), outside);
                self.end()
            }
        }
    }

    /// Nothing to visit next.
    fn end(&self) -> Targets {
        (Vec::new(), Way::asked())
    }

    /// Notes an address that led nowhere.
    fn nowhere(&mut self, reason: Resolution) -> Targets {
        let undeliverable = matches!(reason, Resolution::Undeliverable(_));
        if self.problem.is_none() || undeliverable {
            self.problem = Some(reason);
        }
        self.end()
    }

    /// Goes from the holder of `address` to its account or its targets. `entry` is the
    /// address with its detail, to which `way` led.
    async fn follow(
        &mut self,
        address: &Address,
        name: row::Name,
        detail: Option<&str>,
        entry: &Address,
        way: &Way,
    ) -> kv::Result<Targets> {
        let via = |group, list: Option<u32>| Way {
            step: Step::Via {
                address: address.clone(),
                group,
                list: list.is_some(),
            },
            list: list.or(way.list),
            inside: way.inside,
        };
        match name.holder() {
            Holder::Account => {
                let member = way.member(entry);
                self.take(AccountId(name.account), detail, member).await?;
                Ok(self.end())
            }
            Holder::Alias => {
                let alias: row::Alias = row::get(self.read, &key::alias(address))
                    .await?
                    .unwrap_or_default();
                let targets = alias.targets.iter();
                let targets = targets.map(|target| directory::stored_address(target));
                Ok((targets.collect::<kv::Result<_>>()?, via(false, None)))
            }
            Holder::Group => {
                let group: row::Group = row::get(self.read, &key::group(address))
                    .await?
                    .unwrap_or_default();
                if group.internal && !self.query.local_sender && !way.inside {
                    return Ok(self.nowhere(Resolution::Internal));
                }
                let members = query::groups::members(self.read, address).await?;
                let list = self.list(address, &group, way.list)?;
                Ok((members, via(true, list)))
            }
            Holder::Unknown => Ok(self.nowhere(Resolution::Unknown)),
        }
    }

    /// The place of the list `address` in [`Walk::lists`]; None if it is a plain
    /// group.
    fn list(
        &mut self,
        address: &Address,
        group: &row::Group,
        within: Option<u32>,
    ) -> kv::Result<Option<u32>> {
        if !group.list {
            return Ok(None);
        }
        let place = self.lists.iter().position(|list| list.address == *address);
        let place = place.unwrap_or(self.lists.len());
        if place == self.lists.len() {
            let owner = group.owner.as_deref();
            self.lists.push(List {
                address: address.clone(),
                owner: owner.map(directory::stored_address).transpose()?,
                unsubscribe: group.unsubscribe,
                within,
            });
        }
        Ok(u32::try_from(place).ok())
    }

    /// Takes an account as a recipient if it is open; notes whether it has room.
    async fn take(
        &mut self,
        id: AccountId,
        detail: Option<&str>,
        member: Option<Membership>,
    ) -> kv::Result<()> {
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
            member,
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
    pub(super) fn finish(mut self) -> Resolution {
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
                lists: self.lists,
            };
        }
        if self.default_owner && self.problem == Some(Resolution::Unknown) {
            return Resolution::Postmaster;
        }
        let text = || format!("{} leads in a circle or to nobody", self.query.address);
        self.problem
            .unwrap_or_else(|| Resolution::Undeliverable(text()))
    }
}
