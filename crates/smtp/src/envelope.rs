//! The envelope of one transaction: sender, recipients, and the accounts and
//! addresses outside that they lead to, each once.

use std::collections::HashMap;

use postrider_meta::query::{self, List, Membership};
use postrider_proto::smtp::{Mail, RcptParameters};
use postrider_types::{AccountId, Address, DomainName};

/// The most accounts and addresses outside that one message may go to (what
/// [`postrider_meta::command::Accept`] takes).
const MAX_TARGETS: usize = 10_000;

/// An account that receives the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) account: AccountId,
    /// Its address, with the plus detail that led to it.
    pub(crate) delivered_to: String,
    /// The mailbox that the detail names, else INBOX.
    pub(crate) mailbox: String,
    /// The list that led to it, as a place in [`Envelope::lists`].
    pub(crate) member: Option<Membership>,
    /// Other ways to it, for the case that this list refuses the message.
    pub(crate) also: Vec<Target>,
}

/// An address on another server that receives the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outside {
    /// The address as it is to be sent.
    pub(crate) address: String,
    /// Its domain, or an address literal, as the queue names it.
    pub(crate) destination: String,
    /// The domain of ours that forwards to it; None where the sender asked for it.
    pub(crate) via: Option<DomainName>,
    /// The last alias or group on the way; None where the sender asked for it.
    pub(crate) forwarder: Option<Address>,
    /// The list that led to it, as a place in [`Envelope::lists`]; in [`Found`], in
    /// its lists.
    pub(crate) member: Option<Membership>,
}

/// An [`Outside`] of the envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) outside: Outside,
    /// The recipient that led to it first, as a place in
    /// [`Envelope::recipients`].
    pub(crate) recipient: usize,
    /// Other ways to it, for the case that its list refuses the message.
    pub(crate) also: Vec<Queued>,
}

/// Where a recipient leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) accounts: Vec<query::Recipient>,
    pub(crate) outside: Vec<Outside>,
    /// The mailing lists that memberships of both name.
    pub(crate) lists: Vec<List>,
}

impl Found {
    /// How many accounts and addresses outside there are.
    fn count(&self) -> usize {
        self.accounts.len() + self.outside.len()
    }
}

/// What is behind a recipient, as its sender is told of it (RFC 3461 §5.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One target, here or outside.
    Single,
    /// Several: a group, or an alias of many.
    Several,
    /// A mailing list, which sends in its own name: its place in [`Envelope::lists`].
    List(u32),
}

/// A recipient that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipient {
    /// The address as the client wrote it.
    pub(crate) path: String,
    /// Its DSN parameters.
    pub(crate) parameters: RcptParameters,
    /// Its targets, as places in [`Envelope::targets`].
    pub(crate) targets: Vec<u32>,
    /// Where it leads outside, as places in [`Envelope::queued`].
    pub(crate) queued: Vec<u32>,
    /// What there is behind it.
    pub(crate) kind: Kind,
}

/// Sender and recipients of one message.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) mail: Mail,
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) targets: Vec<Target>,
    pub(crate) queued: Vec<Queued>,
    /// The mailing lists that lead to both.
    pub(crate) lists: Vec<List>,
    places: HashMap<AccountId, u32>,
    addresses: HashMap<String, u32>,
    list_places: HashMap<Address, u32>,
    /// Targets of all recipients, with those that several share.
    resolved: usize,
    /// One more led to too many: the rest of them is not even looked up.
    full: bool,
    /// Some recipient was refused.
    pub(crate) refused: bool,
}

impl Envelope {
    pub(crate) fn new(mail: Mail) -> Self {
        Self {
            mail,
            recipients: Vec::new(),
            targets: Vec::new(),
            queued: Vec::new(),
            lists: Vec::new(),
            places: HashMap::new(),
            addresses: HashMap::new(),
            list_places: HashMap::new(),
            resolved: 0,
            full: false,
            refused: false,
        }
    }

    /// Whether all get it by mailing lists, which put fields of their own in the place of
    /// those that it has.
    pub(crate) fn is_for_lists_alone(&self) -> bool {
        let here = self.targets.iter().all(|target| target.member.is_some());
        let mut elsewhere = self.queued.iter();
        let elsewhere = elsewhere.all(|queued| queued.outside.member.is_some());
        !self.lists.is_empty() && here && elsewhere
    }

    /// Whether it takes no recipient more, of at most `max`.
    pub(crate) fn is_full(&self, max: usize) -> bool {
        self.full || self.recipients.len() >= max
    }

    /// Adds a recipient that leads to `found`; false if there are too many.
    /// An account that several recipients lead to gets the message once, in the
    /// mailbox that the first names, and by its list; so does an address outside.
    pub(crate) fn add(&mut self, path: String, parameters: RcptParameters, found: Found) -> bool {
        if !self.make_room(&found) {
            return false;
        }
        let count = found.count();
        self.resolved += count;
        let lists = self.add_lists(found.lists);
        let kind = self.kind(&path, &lists, count);
        let here = |member: Option<Membership>| -> Option<Membership> {
            let member = member?;
            let list = *lists.get(member.list as usize)?;
            Some(Membership { list, ..member })
        };
        let mut targets = Vec::with_capacity(found.accounts.len());
        for mut recipient in found.accounts {
            let next = next_place(&self.targets);
            let place = *self.places.entry(recipient.account).or_insert(next);
            recipient.member = here(recipient.member);
            let target = target(recipient);
            match self.targets.get_mut(place as usize) {
                Some(known) if known.member.is_some() => known.also.push(target),
                Some(_) => {}
                None => self.targets.push(target),
            }
            targets.push(place);
        }
        let mut queued = Vec::with_capacity(found.outside.len());
        for mut outside in found.outside {
            let next = next_place(&self.queued);
            let place = self.addresses.entry(outside.address.clone());
            let place = *place.or_insert(next);
            outside.member = here(outside.member);
            let way = Queued {
                outside,
                recipient: self.recipients.len(),
                also: Vec::new(),
            };
            match self.queued.get_mut(place as usize) {
                Some(known) if known.outside.member.is_some() => known.also.push(way),
                Some(_) => {}
                None => self.queued.push(way),
            }
            queued.push(place);
        }
        self.recipients.push(Recipient {
            path,
            parameters,
            targets,
            queued,
            kind,
        });
        true
    }

    /// Whether `found` fits in. Where it does not, the envelope is full.
    pub(crate) fn make_room(&mut self, found: &Found) -> bool {
        self.full |= self.resolved + found.count() > MAX_TARGETS;
        !self.full
    }

    /// What is behind the recipient `path`, which leads to `count` targets over `lists`.
    fn kind(&self, path: &str, lists: &[u32], count: usize) -> Kind {
        let asked = Address::parse(path).ok();
        let own = asked.and_then(|asked| self.list_places.get(&asked));
        match own {
            Some(place) if lists.contains(place) => Kind::List(*place),
            _ if count > 1 || !lists.is_empty() => Kind::Several,
            _ => Kind::Single,
        }
    }

    /// The places of these lists, each of which is kept once.
    fn add_lists(&mut self, lists: Vec<List>) -> Vec<u32> {
        let mut places = Vec::with_capacity(lists.len());
        for mut list in lists {
            // An outer list comes before those within it.
            let outer = list.within.and_then(|outer| places.get(outer as usize));
            list.within = outer.copied();
            let next = next_place(&self.lists);
            let place = self.list_places.entry(list.address.clone());
            let place = *place.or_insert(next);
            if place == next {
                self.lists.push(list);
            }
            places.push(place);
        }
        places
    }
}

/// Where the next one will be.
fn next_place<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

fn target(recipient: query::Recipient) -> Target {
    let address = &recipient.address;
    let (delivered_to, mailbox) = match recipient.detail {
        Some(detail) if !detail.is_empty() => (
            format!("{}+{detail}@{}", address.local(), address.domain()),
            detail,
        ),
        _ => (address.to_string(), "INBOX".to_owned()),
    };
    Target {
        account: recipient.account,
        delivered_to,
        mailbox,
        member: recipient.member,
        also: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use postrider_proto::smtp::MailParameters;
    use postrider_types::Address;

    use super::*;

    fn found(account: u64, detail: Option<&str>) -> query::Recipient {
        query::Recipient {
            account: AccountId(account),
            address: Address::parse(&format!("a{account}@x.test")).unwrap(),
            detail: detail.map(str::to_owned),
            member: None,
        }
    }

    fn local(accounts: Vec<query::Recipient>) -> Found {
        Found {
            accounts,
            ..Found::default()
        }
    }

    fn outside(address: &str) -> Found {
        let (_, domain) = address.split_once('@').unwrap();
        Found {
            outside: vec![Outside {
                address: address.into(),
                destination: domain.into(),
                via: None,
                forwarder: None,
                member: None,
            }],
            ..Found::default()
        }
    }

    fn envelope() -> Envelope {
        Envelope::new(Mail {
            reverse_path: None,
            parameters: MailParameters::default(),
        })
    }

    #[test]
    fn each_account_gets_it_once() {
        let mut envelope = envelope();
        assert!(envelope.add(
            "a".into(),
            RcptParameters::default(),
            local(vec![found(1, Some("shop"))])
        ));
        let both = local(vec![found(2, None), found(1, None)]);
        assert!(envelope.add("b".into(), RcptParameters::default(), both));
        assert_eq!(envelope.targets.len(), 2);
        assert_eq!(envelope.targets[0].mailbox, "shop");
        assert_eq!(envelope.targets[0].delivered_to, "a1+shop@x.test");
        assert_eq!(envelope.targets[1].mailbox, "INBOX");
        assert_eq!(envelope.recipients[1].targets, [1, 0]);
        let kinds: Vec<Kind> = envelope.recipients.iter().map(|r| r.kind).collect();
        assert_eq!(kinds, [Kind::Single, Kind::Several]);
    }

    #[test]
    fn an_address_outside_gets_it_once() {
        let mut envelope = envelope();
        for address in ["x@out.test", "y@out.test", "x@out.test"] {
            let parameters = RcptParameters::default();
            assert!(envelope.add(address.into(), parameters, outside(address)));
        }
        let queued: Vec<_> = envelope.queued.iter().map(|q| q.recipient).collect();
        assert_eq!(queued, [0, 1]);
        let places: Vec<_> = envelope.recipients.iter().map(|r| &r.queued[..]).collect();
        assert_eq!(places, [&[0], &[1], &[0]]);
    }

    #[test]
    fn a_list_is_kept_once_and_its_members_name_it() {
        let mut envelope = envelope();
        let list = |name: &str| List {
            address: Address::parse(&format!("{name}@x.test")).unwrap(),
            owner: None,
            unsubscribe: false,
            within: None,
        };
        let by = |list| Some(Membership { list, entry: None });
        for (account, lists) in [(1, ["a", "b"]), (2, ["b", "c"])] {
            let mut found = local(vec![found(account, None)]);
            found.accounts[0].member = by(1);
            found.outside = outside(&format!("o{account}@out.test")).outside;
            found.outside[0].member = by(0);
            found.lists = lists.map(list).into();
            assert!(envelope.add("l".into(), RcptParameters::default(), found));
        }
        assert_eq!(envelope.lists, ["a", "b", "c"].map(list));
        let members: Vec<_> = envelope.targets.iter().map(|t| t.member.clone()).collect();
        assert_eq!(members, [by(1), by(2)]);
        let queued = envelope.queued.iter();
        let members: Vec<_> = queued.map(|q| q.outside.member.clone()).collect();
        assert_eq!(members, [by(0), by(1)]);
    }

    #[test]
    fn groups_are_bounded_in_sum() {
        let mut envelope = envelope();
        let many = |n: u64| local((0..n).map(|i| found(i, None)).collect());
        assert!(envelope.add("g".into(), RcptParameters::default(), many(10_000)));
        assert!(!envelope.is_full(2));
        assert!(!envelope.add("h".into(), RcptParameters::default(), many(1)));
        assert!(envelope.is_full(2), "a third would be looked up in vain");
        assert_eq!(envelope.recipients.len(), 1);
    }
}
