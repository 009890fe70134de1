//! Notices to senders (RFC 3461, RFC 3464): whom to tell what, and the message
//! that tells it, ready to be accepted like any other.
//!
//! Their text and form are `message::report`'s.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use postrider_body::{Error as BodyError, Reader};
use postrider_message::report::{self, Action, MAX_RETURNED_HEADER, Notice, Returned};
use postrider_meta::command::{Accept, Delivery};
use postrider_meta::query::{Resolution, Resolve};
use postrider_meta::{
    NewBody, NewDestination, NewQueued, Origin, QueueEnvelope, QueuedRecipient, QueuedView, ReadAt,
    Return, limit,
};
use postrider_types::{Address, EnhancedStatus, Flags, Millis};

use crate::courier::Shared;
use crate::settle::Fate;

/// A message above this size is not returned whole, whatever was asked for.
const MAX_RETURNED: u64 = 10 << 20;
/// How long a notice itself is tried: its reader has waited long enough.
const LIFETIME: Duration = Duration::from_secs(2 * 24 * 3600);

/// What a notice tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The message will not come.
    Failed,
    /// It takes long.
    Delayed,
    /// It was handed to a server that tells nothing more.
    Relayed,
}

/// What is told of one recipient.
pub(crate) struct Facts<'a> {
    pub(crate) recipient: &'a QueuedRecipient,
    pub(crate) fate: &'a Fate,
}

impl Kind {
    /// Whether the sender wants to be told this of a recipient. `warn`: it is time
    /// to say that it takes long.
    pub(crate) fn concerns(self, recipient: &QueuedRecipient, fate: &Fate, warn: bool) -> bool {
        // RFC 3461 §4.1: without NOTIFY, failures and delays.
        let (success, failure, delay) = match recipient.notify {
            Some(notify) => (notify.success, notify.failure, notify.delay),
            None => (false, true, true),
        };
        match (self, fate) {
            (Self::Failed, Fate::Failed(_)) => failure,
            (Self::Delayed, Fate::Deferred(_)) => warn && delay,
            (Self::Relayed, Fate::Relayed { tells, .. }) => success && !tells,
            _ => false,
        }
    }
}

/// Why a notice cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Meta(#[from] postrider_meta::Error),
    #[error("{0}")]
    Sender(String),
}

/// A notice about `facts` to the sender of an entry.
pub(crate) async fn make(
    shared: &Shared,
    entry: &QueuedView,
    kind: Kind,
    facts: &[Facts<'_>],
    now: Millis,
) -> Result<Accept, Error> {
    let body = write(shared, entry, kind, facts, now).await?;
    address(shared, entry, body, now).await
}

/// Writes the notice into a body.
async fn write(
    shared: &Shared,
    entry: &QueuedView,
    kind: Kind,
    facts: &[Facts<'_>],
    now: Millis,
) -> Result<NewBody, Error> {
    // That the message itself cannot be read is no reason to keep silent.
    let mut original = shared.handles.bodies.open(entry.body).await.ok();
    let header = match &original {
        Some(reader) => header(&entry.prefix, reader).await,
        None => entry.prefix.clone(),
    };
    // RFC 8689 §5: of what had to be protected no more goes back than is needed.
    let whole = entry.envelope.ret == Some(Return::Full)
        && !entry.envelope.require_tls
        && kind == Kind::Failed
        && entry.size <= MAX_RETURNED;
    let returned = match &original {
        Some(reader) if whole => Returned::Message {
            eight_bit: is_eight_bit(reader).await?,
        },
        _ => {
            original = None;
            Returned::Header
        }
    };
    let recipients: Vec<report::Recipient<'_>> = facts
        .iter()
        .map(|facts| recipient(facts, entry, kind, now))
        .collect();
    let hostname = &shared.handles.hostname;
    let mut random = [0; 16];
    shared.handles.meta.random().fill(&mut random);
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    shared.handles.meta.random().fill(&mut random);
    let report = Notice {
        reporting_mta: hostname,
        envelope_id: entry.envelope.envelope_id.as_deref(),
        arrival: entry.created,
        recipients: &recipients,
        from: &format!("MAILER-DAEMON@{hostname}"),
        to: &entry.envelope.reverse_path,
        message_id: &format!("<{id}@{hostname}>"),
        date: now,
        smtp_utf8: entry.envelope.smtp_utf8,
        header: &header,
        returned,
        random,
    }
    .write();
    let mut intake = shared.handles.bodies.intake();
    intake.write(&report.head).await?;
    if let Some(mut original) = original {
        intake.write(&entry.prefix).await?;
        while let Some(piece) = original.next_chunk().await? {
            intake.write(&piece).await?;
        }
    }
    intake.write(&report.tail).await?;
    Ok(NewBody {
        // A notice must not fail for want of room: what it replaces goes.
        inline_budget: u64::MAX,
        ..intake.finish().await?
    })
}

/// The start of the message up to the end of its header, as far as a notice
/// returns it.
async fn header(prefix: &Bytes, body: &Reader) -> Bytes {
    let start = body.read(0..MAX_RETURNED_HEADER as u64).await;
    let start = start.unwrap_or_default();
    let end = start.windows(4).position(|window| window == b"\r\n\r\n");
    let header = &start[..end.map_or(start.len(), |end| end + 4)];
    [prefix, header].concat().into()
}

async fn is_eight_bit(body: &Reader) -> Result<bool, BodyError> {
    let mut at = 0;
    while at < body.size() {
        let piece = body.read(at..at + (64 << 10)).await?;
        if !piece.is_ascii() {
            return Ok(true);
        }
        at += piece.len().max(1) as u64;
    }
    Ok(false)
}

fn recipient<'a>(
    facts: &Facts<'a>,
    entry: &QueuedView,
    kind: Kind,
    now: Millis,
) -> report::Recipient<'a> {
    let (status, host, reply) = match facts.fate {
        Fate::Relayed { host, reply, .. } => {
            (EnhancedStatus(2, 0, 0), Some(host.as_str()), reply.as_str())
        }
        Fate::Failed(trouble) | Fate::Deferred(trouble) => (
            trouble.status,
            trouble.host.as_deref(),
            trouble.reply.as_deref().unwrap_or(&trouble.text),
        ),
    };
    let original = facts.recipient.original.as_ref();
    report::Recipient {
        original: original.map(|(kind, address)| report::OriginalRecipient { kind, address }),
        address: &facts.recipient.address,
        action: match kind {
            Kind::Failed => Action::Failed,
            Kind::Delayed => Action::Delayed {
                until: entry.expires,
            },
            Kind::Relayed => Action::Relayed,
        },
        status,
        remote_host: host,
        reply: Some(reply),
        last_attempt: (entry.attempts > 0 || kind != Kind::Delayed).then_some(now),
    }
}

/// The sender that stands behind a rewritten one.
fn original_sender(shared: &Shared, sender: &str, now: Millis) -> Option<String> {
    let (local, _) = sender.rsplit_once('@')?;
    let (original, _) = shared.handles.srs.backward(local, now)?;
    Some(original)
}

/// Addresses the notice to the sender: a mailbox here, or the queue.
async fn address(
    shared: &Shared,
    entry: &QueuedView,
    body: NewBody,
    now: Millis,
) -> Result<Accept, Error> {
    let sender = entry.envelope.reverse_path.clone();
    // Of what was forwarded, the first sender hears, whatever else takes mail for
    // the rewritten address.
    let sender = original_sender(shared, &sender, now).unwrap_or(sender);
    let resolution = match Address::parse(&sender) {
        Ok(address) => {
            let resolve = Resolve {
                address,
                size: 0,
                local_sender: true,
                // Of what happened to the message there is no word anywhere else.
                overdraft: true,
                now,
            };
            let meta = &shared.handles.meta;
            meta.ask(resolve, ReadAt::Latest).await?.0
        }
        // No address of ours looks like this.
        Err(_) => Resolution::Foreign,
    };
    let nobody = |why: String| Error::Sender(format!("{sender} gets no notice: {why}"));
    let (accounts, outside) = match resolution {
        Resolution::Local { accounts, outside } => {
            let outside = outside.into_iter().map(|it| it.address.to_string());
            (accounts, outside.collect::<Vec<_>>())
        }
        Resolution::Foreign | Resolution::Relayed(_) => (Vec::new(), vec![sender.clone()]),
        Resolution::Unknown => return Err(nobody("there is no such mailbox any more".into())),
        other => return Err(nobody(format!("{other:?}"))),
    };
    let received = format!(
        "Received: by {} id {};\r\n\t{}\r\n",
        shared.handles.hostname,
        body.id,
        postrider_message::date::format(now, 0)
    );
    let deliveries = accounts.into_iter().map(|recipient| Delivery {
        account: recipient.account,
        mailbox: "INBOX".into(),
        prefix: format!(
            "Return-Path: <>\r\nDelivered-To: {}\r\n{received}",
            recipient.address
        )
        .into(),
        flags: Flags::new(),
        overdraft: true,
    });
    let destinations = destinations(outside);
    let queued = (!destinations.is_empty()).then(|| NewQueued {
        envelope: QueueEnvelope {
            reverse_path: String::new(),
            ret: None,
            envelope_id: None,
            smtp_utf8: !sender.is_ascii(),
            // RFC 8689 §5: a notice tells much of what had to be protected.
            require_tls: entry.envelope.require_tls,
            tls_optional: false,
            sign: None,
            submitter: None,
        },
        prefix: received.clone().into(),
        destinations,
        due: now,
        warn: None,
        expires: now.after(LIFETIME.min(shared.settings.lifetime)),
    });
    Ok(Accept {
        body,
        deliveries: deliveries.collect(),
        received: now,
        queued,
        origin: Some(Origin {
            node: Some(shared.handles.node),
            peer: shared.handles.hostname.clone(),
            login: None,
            protocol: format!("notice about {}", entry.body),
            reverse_path: String::new(),
        }),
    })
}

/// Addresses elsewhere by domain, as many together as an entry takes.
fn destinations(addresses: Vec<String>) -> Vec<NewDestination> {
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
                recipients: piece.to_vec(),
            });
        }
    }
    destinations
}
