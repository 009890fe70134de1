//! What of a transaction goes to other servers, as the queue takes it.

use std::collections::BTreeMap;

use bytes::Bytes;
use postrider_meta::{NewDestination, NewQueued, QueueEnvelope, QueuedRecipient, Seal, limit};
use postrider_proto::smtp;
use postrider_types::{DomainName, Millis};

use super::Session;
use crate::Outbound;
use crate::envelope::{Envelope, Queued};

/// The part of a message that leaves; None where all stays here. `received` is
/// the Received field; `tls_optional` says that the header has `TLS-Required: No`.
pub(super) fn queued(
    session: &Session<'_>,
    envelope: &Envelope,
    received: &str,
    tls_optional: bool,
    now: Millis,
) -> Option<NewQueued> {
    let outbound = session.server.handles.outbound.as_ref()?;
    if envelope.queued.is_empty() {
        return None;
    }
    let mail = &envelope.mail;
    let sender = mail.reverse_path.as_ref();
    Some(NewQueued {
        envelope: QueueEnvelope {
            reverse_path: sender.map(ToString::to_string).unwrap_or_default(),
            ret: mail.parameters.ret.map(|ret| match ret {
                smtp::Return::Full => postrider_meta::Return::Full,
                smtp::Return::Headers => postrider_meta::Return::Headers,
            }),
            envelope_id: mail.parameters.envelope_id.as_deref().map(str::to_owned),
            smtp_utf8: mail.parameters.smtp_utf8,
            require_tls: mail.parameters.require_tls,
            // RFC 8689 §4.1: the parameter outweighs the field.
            tls_optional: tls_optional && !mail.parameters.require_tls,
            // Whoever may send here as this sender may sign for its domain; a
            // stranger may not, whatever sender he names.
            sign: sender
                .filter(|_| session.is_local())
                .and_then(|sender| sender.address())
                .map(|address| address.domain().clone()),
            submitter: session.login.as_ref().map(|login| login.account),
        },
        prefix: Bytes::copy_from_slice(received.as_bytes()),
        destinations: destinations(session, envelope, outbound, now),
        due: now,
        warn: outbound.warn_after.map(|span| now.after(span)),
        expires: now.after(outbound.lifetime),
    })
}

/// The recipients by destination, as many together as an entry takes.
fn destinations(
    session: &Session<'_>,
    envelope: &Envelope,
    outbound: &Outbound,
    now: Millis,
) -> Vec<NewDestination> {
    let sender = envelope.mail.reverse_path.as_ref();
    let sender = sender.map(ToString::to_string).unwrap_or_default();
    // Those that two domains of ours forward are sealed by each for itself.
    type Way<'a> = (&'a str, Option<&'a DomainName>);
    let mut by_way: BTreeMap<Way<'_>, Vec<QueuedRecipient>> = BTreeMap::new();
    for queued in &envelope.queued {
        let name = queued.outside.destination.as_str();
        let via = queued.outside.via.as_ref();
        // A sender of ours is good for itself: its domain names this server.
        let via = via.filter(|_| !session.is_local());
        let recipients = by_way.entry((name, via)).or_default();
        recipients.push(recipient(envelope, queued));
    }
    let pieces = by_way.into_iter().flat_map(|((name, via), recipients)| {
        let forwarded = via.map(|ours| {
            let rewritten = outbound.srs.forward(&sender, ours, now);
            rewritten.unwrap_or_else(|| sender.clone())
        });
        let pieces = recipients.chunks(limit::QUEUED_RECIPIENTS);
        let piece = |recipients: &[QueuedRecipient]| NewDestination {
            name: name.to_owned(),
            recipients: recipients.to_vec(),
            sender: forwarded.clone(),
            seal: via.map(|ours| seal(session, ours, &sender)),
        };
        pieces.map(piece).collect::<Vec<_>>()
    });
    pieces.collect()
}

/// How a message came that `ours` forwards, for those who judge the copy.
fn seal(session: &Session<'_>, ours: &DomainName, sender: &str) -> Seal {
    let name = session.greeting.as_ref().map(|greeting| &*greeting.name);
    // A name that cannot stand in a header field says nothing.
    let name = name.filter(|name| !name.chars().any(char::is_control));
    Seal {
        domain: ours.clone(),
        client: session.peer,
        helo: name.unwrap_or_default().to_owned(),
        came_from: sender.to_owned(),
    }
}

fn recipient(envelope: &Envelope, queued: &Queued) -> QueuedRecipient {
    let asked = envelope.recipients.get(queued.recipient);
    let parameters = asked.map(|asked| &asked.parameters);
    let notify = parameters.and_then(|parameters| parameters.notify);
    let original = parameters.and_then(|parameters| parameters.original.as_ref());
    QueuedRecipient {
        address: queued.outside.address.clone(),
        notify: notify.map(|notify| match notify {
            smtp::Notify::Never => postrider_meta::Notify::default(),
            smtp::Notify::On {
                success,
                failure,
                delay,
            } => postrider_meta::Notify {
                // RFC 3461 §5.2.7.3: of what goes on to several, one notice tells here.
                success: success && !asked.is_some_and(|asked| asked.expands),
                failure,
                delay,
            },
        }),
        original: original.map(|it| (it.kind.to_string(), it.address.to_string())),
        last: None,
    }
}
