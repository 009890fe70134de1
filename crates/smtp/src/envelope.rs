//! The envelope of one transaction: sender, recipients, and the accounts that
//! they lead to, each account once.

use std::collections::HashMap;

use postrider_meta::query;
use postrider_proto::smtp::{Mail, RcptParameters};
use postrider_types::AccountId;

/// The most accounts that one message may go to (what
/// [`postrider_meta::command::Accept`] takes).
const MAX_ACCOUNTS: usize = 10_000;

/// An account that receives the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) account: AccountId,
    /// Its address, with the plus detail that led to it.
    pub(crate) delivered_to: String,
    /// The mailbox that the detail names, else INBOX.
    pub(crate) mailbox: String,
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
}

/// Sender and recipients of one message.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) mail: Mail,
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) targets: Vec<Target>,
    places: HashMap<AccountId, u32>,
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
            places: HashMap::new(),
            resolved: 0,
            refused: false,
        }
    }

    /// Adds a recipient that leads to `found`; false if there are too many.
    /// An account that several recipients lead to gets the message once, in the
    /// mailbox that the first names.
    pub(crate) fn add(
        &mut self,
        path: String,
        parameters: RcptParameters,
        found: Vec<query::Recipient>,
    ) -> bool {
        if self.resolved + found.len() > MAX_ACCOUNTS {
            return false;
        }
        self.resolved += found.len();
        let mut targets = Vec::with_capacity(found.len());
        for recipient in found {
            let next = u32::try_from(self.targets.len()).unwrap_or(u32::MAX);
            let place = *self.places.entry(recipient.account).or_insert(next);
            if place == next {
                self.targets.push(target(recipient));
            }
            targets.push(place);
        }
        self.recipients.push(Recipient {
            path,
            parameters,
            targets,
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
            vec![found(1, Some("shop"))]
        ));
        let both = vec![found(2, None), found(1, None)];
        assert!(envelope.add("b".into(), RcptParameters::default(), both));
        assert_eq!(envelope.targets.len(), 2);
        assert_eq!(envelope.targets[0].mailbox, "shop");
        assert_eq!(envelope.targets[0].delivered_to, "a1+shop@x.test");
        assert_eq!(envelope.targets[1].mailbox, "INBOX");
        assert_eq!(envelope.recipients[1].targets, [1, 0]);
    }

    #[test]
    fn groups_are_bounded_in_sum() {
        let mut envelope = envelope();
        let many = |n: u64| (0..n).map(|i| found(i, None)).collect::<Vec<_>>();
        assert!(envelope.add("g".into(), RcptParameters::default(), many(10_000)));
        assert!(!envelope.add("h".into(), RcptParameters::default(), many(1)));
        assert_eq!(envelope.recipients.len(), 1);
    }
}
