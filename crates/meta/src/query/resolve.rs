//! Who receives mail to an address.

mod walk;

use std::collections::BTreeSet;

use postrider_kv::{self as kv, Read};
use postrider_types::{AccountId, Address, Millis};
use serde::{Deserialize, Serialize};

use self::walk::Walk;
use crate::Relay;
use crate::directory::{self, MAX_GROUP_MEMBERS};

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
    /// Its sender is null: a notice. The bounces of a list reach an owner who takes
    /// mail from inside only.
    #[serde(default)]
    pub notice: bool,
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
        /// The mailing lists that memberships of both name.
        lists: Vec<List>,
    },
    /// The bounces of a list go to the postmaster of its domain, which has no
    /// address of its own.
    Postmaster,
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
    /// The list that led here.
    pub member: Option<Membership>,
}

/// An address outside that receives a message for a local one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// The address.
    pub address: Address,
    /// The last alias or group on the way to it.
    pub via: Address,
    /// That is a group.
    pub group: bool,
    /// Its domain is local, and its mail goes on to a server behind this one.
    pub relayed: bool,
    /// The list that led there.
    pub member: Option<Membership>,
}

/// A mailing list on the way to a recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Its address.
    pub address: Address,
    /// Who answers for it; None is the postmaster of its domain.
    pub owner: Option<Address>,
    /// Members may take themselves out.
    pub unsubscribe: bool,
    /// The list through which this one was reached, as a place in the lists of the
    /// resolution.
    pub within: Option<u32>,
}

impl List {
    /// The sender of its copies: bounces go there, and on to the owner.
    pub fn bounces(&self) -> String {
        let (name, domain) = (self.address.local(), self.address.domain());
        format!("{name}+{}@{domain}", directory::BOUNCES)
    }

    /// Who answers for it, named or not.
    pub fn owner(&self) -> String {
        match &self.owner {
            Some(owner) => owner.to_string(),
            None => format!("postmaster@{}", self.address.domain()),
        }
    }
}

/// By which list a recipient was reached: the innermost, where lists are members of
/// lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Its place in the lists of the resolution.
    pub list: u32,
    /// The entry of the list that is this recipient and nobody else, as the list has
    /// it. None behind aliases and plain groups: to take out their entry would take
    /// out others too.
    pub entry: Option<Address>,
}

pub(super) async fn answer<R: Read>(read: &R, query: Resolve) -> kv::Result<Resolution> {
    let mut walk = Walk::new(read, &query);
    let mut seen = BTreeSet::from([query.address.clone()]);
    let mut level = vec![(query.address.clone(), Way::asked())];
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
struct Way {
    step: Step,
    /// The innermost list on the way, as a place in [`Walk::lists`].
    list: Option<u32>,
    /// A list of ours leads on by it: groups that take mail from inside only are open.
    inside: bool,
}

impl Way {
    fn asked() -> Self {
        Self {
            step: Step::Asked,
            list: None,
            inside: false,
        }
    }

    /// The membership of `entry`, to which this way leads.
    fn member(&self, entry: &Address) -> Option<Membership> {
        let list = self.list?;
        let is_own = matches!(self.step, Step::Via { list: true, .. });
        Some(Membership {
            list,
            entry: is_own.then(|| entry.clone()),
        })
    }
}

/// The last step of a [`Way`].
#[derive(Clone)]
enum Step {
    /// It is that of the query.
    Asked,
    /// By a catch-all.
    CatchAll,
    /// By this alias or group, which may be a list.
    Via {
        address: Address,
        group: bool,
        list: bool,
    },
}
