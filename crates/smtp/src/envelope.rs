//! The envelope of one transaction: sender, recipients, and the accounts and
//! addresses outside that they lead to, each once.

use std::collections::{HashMap, HashSet};

use postrider_meta::query;
use postrider_proto::smtp::{Mail, RcptParameters};
use postrider_types::{AccountId, DomainName};

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
}

/// An [`Outside`] of the envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) outside: Outside,
    /// The recipient that led to it first, as a place in
    /// [`Envelope::recipients`].
    pub(crate) recipient: usize,
}

/// Where a recipient leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) accounts: Vec<query::Recipient>,
    pub(crate) outside: Vec<Outside>,
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
    /// It leads outside.
    pub(crate) outside: bool,
    /// It leads to several, here or outside: a group, or an alias of many.
    pub(crate) expands: bool,
}

/// Sender and recipients of one message.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) mail: Mail,
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) targets: Vec<Target>,
    pub(crate) queued: Vec<Queued>,
    places: HashMap<AccountId, u32>,
    addresses: HashSet<String>,
    /// Targets of all recipients, with those that several share.
    resolved: usize,
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
            places: HashMap::new(),
            addresses: HashSet::new(),
            resolved: 0,
            refused: false,
        }
    }

    /// Adds a recipient that leads to `found`; false if there are too many.
    /// An account that several recipients lead to gets the message once, in the
    /// mailbox that the first names; so does an address outside.
    pub(crate) fn add(&mut self, path: String, parameters: RcptParameters, found: Found) -> bool {
        let count = found.accounts.len() + found.outside.len();
        if self.resolved + count > MAX_TARGETS {
            return false;
        }
        self.resolved += count;
        let mut targets = Vec::with_capacity(found.accounts.len());
        for recipient in found.accounts {
            let next = u32::try_from(self.targets.len()).unwrap_or(u32::MAX);
            let place = *self.places.entry(recipient.account).or_insert(next);
            if place == next {
                self.targets.push(target(recipient));
            }
            targets.push(place);
        }
        let outside = !found.outside.is_empty();
        for outside in found.outside {
            if self.addresses.insert(outside.address.clone()) {
                self.queued.push(Queued {
                    outside,
                    recipient: self.recipients.len(),
                });
            }
        }
        self.recipients.push(Recipient {
            path,
            parameters,
            targets,
            outside,
            expands: count > 1,
        });
        true
    }
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
        }
    }

    fn local(accounts: Vec<query::Recipient>) -> Found {
        Found {
            accounts,
            outside: Vec::new(),
        }
    }

    fn outside(address: &str) -> Found {
        let (_, domain) = address.split_once('@').unwrap();
        Found {
            accounts: Vec::new(),
            outside: vec![Outside {
                address: address.into(),
                destination: domain.into(),
                via: None,
            }],
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
        let expands: Vec<bool> = envelope.recipients.iter().map(|r| r.expands).collect();
        assert_eq!(expands, [false, true]);
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
        assert!(envelope.recipients.iter().all(|r| r.outside));
    }

    #[test]
    fn groups_are_bounded_in_sum() {
        let mut envelope = envelope();
        let many = |n: u64| local((0..n).map(|i| found(i, None)).collect());
        assert!(envelope.add("g".into(), RcptParameters::default(), many(10_000)));
        assert!(!envelope.add("h".into(), RcptParameters::default(), many(1)));
        assert_eq!(envelope.recipients.len(), 1);
    }
}
