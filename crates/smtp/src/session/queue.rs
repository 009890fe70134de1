//! What of a transaction goes to other servers, as the queue takes it.

use std::collections::BTreeMap;

use bytes::Bytes;
use postrider_meta::query::List;
use postrider_meta::{
    ListCopy, NewDestination, NewQueued, QueueEnvelope, QueuedRecipient, Seal, limit,
};
use postrider_proto::smtp;
use postrider_types::{DomainName, Millis};

use super::lists::Lists;
use super::{Session, forward};
use crate::Outbound;
use crate::envelope::{Envelope, Kind, Queued};
use crate::header::Header;

/// The part of a message that leaves; None where all stays here, or is refused by
/// `lists` or for a loop that `header` tells of. `received` is the Received field.
pub(super) fn queued(
    session: &Session<'_>,
    envelope: &Envelope,
    lists: &Lists<'_>,
    received: &str,
    header: &Header,
    now: Millis,
) -> Option<NewQueued> {
    let outbound = session.server.handles.outbound.as_ref()?;
    let mail = &envelope.mail;
    let sender = mail.reverse_path.as_ref();
    let mut queued = NewQueued {
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
            tls_optional: header.tls_optional() && !mail.parameters.require_tls,
            // Whoever may send here as this sender may sign for its domain; a
            // stranger may not, whatever sender he names.
            sign: sender
                .filter(|_| session.is_local())
                .and_then(|sender| sender.address())
                .map(|address| address.domain().clone()),
            submitter: session.login.as_ref().map(|login| login.account),
        },
        prefix: Bytes::copy_from_slice(received.as_bytes()),
        destinations: Vec::new(),
        due: now,
        warn: outbound.warn_after.map(|span| now.after(span)),
        expires: now.after(outbound.lifetime),
    };
    queued.destinations = destinations(session, envelope, lists, header, outbound, &queued);
    (!queued.destinations.is_empty()).then_some(queued)
}

/// What the recipients of an entry have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Way<'a> {
    destination: &'a str,
    /// The domain that forwards to them: those that two domains of ours forward are
    /// sealed by each for itself.
    via: Option<&'a DomainName>,
    /// The list that leads to them, and whether copies let their recipients leave it.
    list: Option<(u32, bool)>,
    /// The addresses that forward to them: no copy tells of others.
    forwarders: Vec<String>,
}

/// The recipients by destination, as many together as an entry takes.
fn destinations(
    session: &Session<'_>,
    envelope: &Envelope,
    lists: &Lists<'_>,
    header: &Header,
    outbound: &Outbound,
    common: &NewQueued,
) -> Vec<NewDestination> {
    let sender = &common.envelope.reverse_path;
    let mut by_way: BTreeMap<Way<'_>, Vec<QueuedRecipient>> = BTreeMap::new();
    for queued in &envelope.queued {
        let Ok(queued) = forward::open(envelope, lists, header, queued) else {
            continue;
        };
        let outside = &queued.outside;
        let member = outside.member.as_ref();
        // A sender of ours is good for itself: its domain names this server. So is a
        // list, which sends in its own name.
        let forwards = member.is_none() && !session.is_local();
        let way = Way {
            destination: &outside.destination,
            via: outside.via.as_ref().filter(|_| forwards),
            list: member.map(|it| (it.list, lists.leaves(Some(it)).is_some())),
            forwarders: forward::forwarders(envelope, queued),
        };
        let recipients = by_way.entry(way).or_default();
        recipients.push(recipient(envelope, queued));
    }
    let pieces = by_way.into_iter().flat_map(|(way, recipients)| {
        let forwarded = way.via.map(|ours| {
            let rewritten = outbound.srs.forward(sender, ours, common.due);
            rewritten.unwrap_or_else(|| sender.clone())
        });
        let list = way.list.and_then(|(place, leaves)| {
            let list = envelope.lists.get(place as usize)?;
            Some((
                list.bounces(),
                copy(list, lists.fields(list, None), leaves, common),
            ))
        });
        let (bounces, copy) = list.unzip();
        let fields = Bytes::from(forward::fields(&way.forwarders));
        let pieces = recipients.chunks(limit::QUEUED_RECIPIENTS);
        let piece = |recipients: &[QueuedRecipient]| NewDestination {
            name: way.destination.to_owned(),
            recipients: recipients.to_vec(),
            sender: bounces.clone().or_else(|| forwarded.clone()),
            seal: way.via.map(|ours| seal(session, ours, sender)),
            list: copy.clone(),
            fields: fields.clone(),
        };
        pieces.map(piece).collect::<Vec<_>>()
    });
    pieces.collect()
}

/// What a list's copies have of their own beside their sender.
fn copy(list: &List, fields: String, leaves: bool, common: &NewQueued) -> ListCopy {
    let prefix = [fields.as_bytes(), &common.prefix].concat();
    // What a poster of ours wrote is signed for the poster, by whom readers go. What
    // a stranger wrote keeps its signatures, and the list adds its own.
    let poster = common.envelope.sign.as_ref();
    ListCopy {
        prefix: prefix.into(),
        sign: Some(poster.unwrap_or(list.address.domain()).clone()),
        // An entry that a copy can take out is the address itself.
        leaves: leaves.then(|| list.address.clone()),
    }
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
    if queued.outside.member.is_some() {
        // RFC 3461 §5.2.7: the post has arrived at the list. Its copies are sent anew,
        // and their owner hears of those that fail.
        let notify = postrider_meta::Notify {
            failure: true,
            ..postrider_meta::Notify::default()
        };
        return QueuedRecipient {
            address: queued.outside.address.clone(),
            notify: Some(notify),
            original: None,
            last: None,
        };
    }
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
                success: success && !asked.is_some_and(|asked| asked.kind == Kind::Several),
                failure,
                delay,
            },
        }),
        original: original.map(|it| (it.kind.to_string(), it.address.to_string())),
        last: None,
    }
}
