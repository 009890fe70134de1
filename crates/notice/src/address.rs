//! Addresses a notice: to the sender's mailbox here, or into the queue.

use std::collections::BTreeMap;
use std::time::Duration;

use postrider_meta::command::{Accept, Delivery};
use postrider_meta::query::{Recipient, Resolution, Resolve};
use postrider_meta::{
    NewBody, NewDestination, NewQueued, Origin, QueueEnvelope, QueuedRecipient, ReadAt, limit,
};
use postrider_proto::smtp::SrsKey;
use postrider_types::{Address, Flags, Millis};

use crate::{About, Error, Notices};

/// How long a notice itself is tried: its reader has waited long enough.
const LIFETIME: Duration = Duration::from_secs(2 * 24 * 3600);

impl Notices {
    /// Addresses the notice to the sender: a mailbox here, or the queue.
    pub(crate) async fn address(
        &self,
        about: &About<'_>,
        body: NewBody,
        now: Millis,
    ) -> Result<Accept, Error> {
        // Of what was forwarded, the first sender hears, whatever else takes mail for
        // the rewritten address.
        let sender = original_sender(&self.srs, about.reverse_path, now);
        let sender = sender.unwrap_or_else(|| about.reverse_path.to_owned());
        let mut sender = sender;
        let mut resolution = self.resolve(about, &sender, now).await?;
        if let (Resolution::Postmaster, Some(postmaster)) = (&resolution, &self.postmaster) {
            sender = postmaster.to_string();
            resolution = self.resolve(about, &sender, now).await?;
        }
        let nobody = |why: String| Error::Sender(format!("{sender} gets no notice: {why}"));
        let (accounts, outside) = match resolution {
            // RFC 3834 §2: as at RCPT. Any stranger could name the list as its sender.
            Resolution::Local { lists, .. } if !lists.is_empty() => {
                return Err(nobody("a mailing list takes none".into()));
            }
            Resolution::Local {
                accounts, outside, ..
            } => {
                let outside = outside.into_iter().map(|it| it.address.to_string());
                (accounts, outside.collect::<Vec<_>>())
            }
            Resolution::Foreign | Resolution::Relayed(_) => (Vec::new(), vec![sender.clone()]),
            Resolution::Postmaster => {
                let text = "there is no postmaster of the list's domain";
                return Err(nobody(text.into()));
            }
            Resolution::Unknown => return Err(nobody("there is no such mailbox any more".into())),
            other => return Err(nobody(format!("{other:?}"))),
        };
        let received = format!(
            "Received: by {} id {};\r\n\t{}\r\n",
            self.hostname,
            body.id,
            postrider_message::date::format(now, 0)
        );
        let deliveries = accounts.iter().map(|it| Delivery {
            overdraft: about.overdraft,
            ..delivery(it, &received)
        });
        let destinations = destinations(outside);
        let queued = (!destinations.is_empty()).then(|| NewQueued {
            envelope: envelope(about, &sender),
            prefix: received.clone().into(),
            destinations,
            due: now,
            warn: None,
            expires: now.after(LIFETIME.min(self.lifetime)),
        });
        Ok(Accept {
            body,
            deliveries: deliveries.collect(),
            received: now,
            queued,
            origin: Some(Origin {
                node: self.node,
                peer: self.hostname.clone(),
                login: None,
                protocol: format!("notice about {}", about.body),
                reverse_path: String::new(),
            }),
            notices: Vec::new(),
        })
    }

    /// Who takes mail for the sender.
    async fn resolve(
        &self,
        about: &About<'_>,
        sender: &str,
        now: Millis,
    ) -> Result<Resolution, Error> {
        // No address of ours looks like what is none.
        let Ok(address) = Address::parse(sender) else {
            return Ok(Resolution::Foreign);
        };
        let resolve = Resolve {
            address,
            size: 0,
            local_sender: about.own,
            notice: true,
            overdraft: about.overdraft,
            now,
        };
        Ok(self.meta.ask(resolve, ReadAt::Latest).await?.0)
    }
}

fn envelope(about: &About<'_>, sender: &str) -> QueueEnvelope {
    QueueEnvelope {
        reverse_path: String::new(),
        ret: None,
        envelope_id: None,
        smtp_utf8: !sender.is_ascii(),
        // RFC 8689 §5: a notice tells much of what had to be protected.
        require_tls: about.require_tls,
        tls_optional: false,
        sign: None,
        submitter: None,
    }
}

/// The sender that stands behind a rewritten one.
fn original_sender(srs: &SrsKey, sender: &str, now: Millis) -> Option<String> {
    let (local, _) = sender.rsplit_once('@')?;
    let (original, _) = srs.backward(local, now)?;
    Some(original)
}

/// The delivery to an account of mail that this server writes itself, which has this
/// Received field. Its quota is looked at when it is resolved.
pub fn delivery(recipient: &Recipient, received: &str) -> Delivery {
    let address = &recipient.address;
    Delivery {
        account: recipient.account,
        mailbox: "INBOX".into(),
        prefix: format!("Return-Path: <>\r\nDelivered-To: {address}\r\n{received}").into(),
        flags: Flags::new(),
        overdraft: true,
    }
}

/// Addresses elsewhere by domain, as many together as an entry takes. Nobody is told
/// of what becomes of mail that this server writes itself.
pub fn destinations(addresses: Vec<String>) -> Vec<NewDestination> {
    let mut by_name: BTreeMap<String, Vec<QueuedRecipient>> = BTreeMap::new();
    for address in addresses {
        let Some((_, name)) = address.rsplit_once('@') else {
            continue;
        };
        by_name
            .entry(name.to_ascii_lowercase())
            .or_default()
            .push(QueuedRecipient {
                address,
                // RFC 3461 §6.1
                notify: Some(postrider_meta::Notify::default()),
                original: None,
                last: None,
            });
    }
    let mut destinations = Vec::new();
    for (name, recipients) in by_name {
        for piece in recipients.chunks(limit::QUEUED_RECIPIENTS) {
            destinations.push(NewDestination {
                name: name.clone(),
                sender: None,
                seal: None,
                list: None,
                fields: Default::default(),
                recipients: piece.to_vec(),
            });
        }
    }
    destinations
}
