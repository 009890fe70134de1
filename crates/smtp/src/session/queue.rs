//! What of a transaction goes to other servers, as the queue takes it.

use std::collections::BTreeMap;

use bytes::Bytes;
use postrider_meta::{NewDestination, NewQueued, QueueEnvelope, QueuedRecipient, limit};
use postrider_proto::smtp;
use postrider_types::Millis;

use super::Session;
use crate::Outbound;
use crate::envelope::{Envelope, Queued};

/// The part of a message that leaves; None where all stays here. `received` is
/// the Received field.
pub(super) fn queued(
    session: &Session<'_>,
    envelope: &Envelope,
    received: &str,
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
            require_tls: false,
            // Whoever may send here as this sender may sign for its domain; a
            // stranger may not, whatever sender he names.
            sign: sender
                .filter(|_| session.is_local())
                .and_then(|sender| sender.address())
                .map(|address| address.domain().clone()),
            submitter: session.login.as_ref().map(|login| login.account),
        },
        prefix: Bytes::copy_from_slice(received.as_bytes()),
        destinations: destinations(envelope, outbound, session.is_local(), now),
        due: now,
        warn: outbound.warn_after.map(|span| now.after(span)),
        expires: now.after(outbound.lifetime),
    })
}

/// The recipients by destination, as many together as an entry takes.
fn destinations(
    envelope: &Envelope,
    outbound: &Outbound,
    is_local: bool,
    now: Millis,
) -> Vec<NewDestination> {
    let sender = envelope.mail.reverse_path.as_ref();
    let sender = sender.map(ToString::to_string).unwrap_or_default();
    let mut by_name: BTreeMap<(&str, Option<String>), Vec<QueuedRecipient>> = BTreeMap::new();
    for queued in &envelope.queued {
        let name = queued.outside.destination.as_str();
        let via = queued.outside.via.as_ref();
        // A sender of ours is good for itself: its domain names this server.
        let via = via.filter(|_| !is_local);
        let forwarded = via.map(|ours| {
            let rewritten = outbound.srs.forward(&sender, ours, now);
            rewritten.unwrap_or_else(|| sender.clone())
        });
        let recipients = by_name.entry((name, forwarded)).or_default();
        recipients.push(recipient(envelope, queued));
    }
    let pieces = by_name
        .into_iter()
        .flat_map(|((name, sender), recipients)| {
            let pieces = recipients.chunks(limit::QUEUED_RECIPIENTS);
            let piece = |recipients: &[QueuedRecipient]| NewDestination {
                name: name.to_owned(),
                recipients: recipients.to_vec(),
                sender: sender.clone(),
            };
            pieces.map(piece).collect::<Vec<_>>()
        });
    pieces.collect()
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
                success,
                failure,
                delay,
            },
        }),
        original: original.map(|it| (it.kind.to_string(), it.address.to_string())),
        last: None,
    }
}
