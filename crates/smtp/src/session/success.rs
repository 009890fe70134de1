//! Notices of success (RFC 3461 §5.2): who asked for them is told of what was
//! delivered here, and that a message went on to all behind an address.
//!
//! They are accepted with the message, so that its `250` stands for them too. LMTP is
//! no exception: whoever hands a recipient over with NOTIFY to a server that offers
//! DSN leaves the notice to it.

use std::collections::BTreeSet;

use postrider_message::report::{self, Action, OriginalRecipient};
use postrider_meta::command::Success;
use postrider_notice::{About, Error};
use postrider_proto::smtp::{Notify, RcptParameters, Reply};
use postrider_types::{BodyId, EnhancedStatus, Millis};

use super::deliver::{self, Verdicts};
use super::incoming;
use super::lists::Lists;
use crate::envelope::{Envelope, Kind, Recipient};
use crate::header::Header;
use crate::server::Shared;

/// How much of the header a notice of success brings back: it is to stay small.
pub(super) const MAX_HEADER: usize = 4 << 10;

/// A message that has arrived.
pub(super) struct Arrived<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) body: BodyId,
    /// Its sender is local: logged in, or from a trusted network.
    pub(super) own: bool,
    pub(super) header: &'a Header,
    /// What its mailing lists make of it.
    pub(super) lists: &'a Lists<'a>,
    /// Its Received field.
    pub(super) received: &'a str,
    pub(super) now: Millis,
}

/// Takes the wish to hear of success out of what was asked for, so that neither this
/// server tells of it nor another one that the message goes on to: a stranger's notices
/// would go to whomever the stranger names, with the stranger's words (ADR 27).
pub(super) fn forget(parameters: &mut RcptParameters) {
    let Some(Notify::On { failure, delay, .. }) = parameters.notify else {
        return;
    };
    let rest = Notify::On {
        success: false,
        failure,
        delay,
    };
    parameters.notify = Some(if failure || delay {
        rest
    } else {
        Notify::Never
    });
}

/// Whether success is to be told of any recipient.
pub(super) fn is_wanted(server: &Shared, envelope: &Envelope) -> bool {
    // RFC 5321 §6.1: nobody is told of a notice.
    envelope.mail.reverse_path.is_some()
        && server.handles.outbound.is_some()
        && envelope.recipients.iter().any(|it| action(it).is_some())
}

/// What is told here of a recipient, if success is to be told.
fn action(recipient: &Recipient) -> Option<Action> {
    let notify = recipient.parameters.notify;
    if !matches!(notify, Some(Notify::On { success: true, .. })) {
        return None;
    }
    match (recipient.kind, recipient.queued.is_empty()) {
        // RFC 3461 §5.2.7.1: a list answers for itself; what it sends is its own.
        (Kind::List(_), _) | (Kind::Single, true) => Some(Action::Delivered),
        (Kind::Several, _) => Some(Action::Expanded),
        // RFC 3461 §5.2.7.2: where a single address is behind it, NOTIFY goes on with
        // the message.
        (Kind::Single, false) => None,
    }
}

/// The notice about all recipients whose success is to be told and, by `verdicts`, is
/// one. None where there are none, or nobody takes mail for the sender.
pub(super) async fn notice(
    server: &Shared,
    arrived: &Arrived<'_>,
    verdicts: &Verdicts,
) -> Result<Option<Success>, Reply> {
    let envelope = arrived.envelope;
    let (Some(outbound), Some(sender)) = (&server.handles.outbound, &envelope.mail.reverse_path)
    else {
        return Ok(None);
    };
    let told: Vec<(&Recipient, Action)> = (envelope.recipients.iter())
        .filter_map(|recipient| Some((recipient, action(recipient)?)))
        .filter(|(recipient, _)| verdicts.of(recipient, arrived.lists).any(Result::is_ok))
        .collect();
    if told.is_empty() {
        return Ok(None);
    }
    let sender = sender.to_string();
    let header = header(arrived);
    let parameters = &envelope.mail.parameters;
    let about = About {
        body: arrived.body,
        reverse_path: &sender,
        envelope_id: parameters.envelope_id.as_deref(),
        smtp_utf8: parameters.smtp_utf8,
        require_tls: parameters.require_tls,
        own: arrived.own,
        // The message itself is there: a full mailbox goes without.
        overdraft: false,
        arrival: arrived.now,
        header: &header,
    };
    let recipients: Vec<report::Recipient<'_>> = told
        .iter()
        .map(|(recipient, action)| fact(recipient, *action, arrived.now))
        .collect();
    let made = outbound
        .notices
        .make(&about, &recipients, None, arrived.now);
    match made.await {
        Ok(accept) => Ok(Some(Success {
            deliveries: deliveries(told.iter().map(|(recipient, _)| *recipient), verdicts),
            accept,
        })),
        Err(Error::Sender(reason)) => {
            tracing::info!(id = %arrived.body, reason, "nobody can be told of a success");
            Ok(None)
        }
        Err(Error::Meta(error)) => Err(deliver::unavailable(&error)),
        Err(Error::Body(error)) => Err(incoming::body_refusal(&error)),
    }
}

/// Tells the sender of what was delivered, where the notice that was made in advance
/// spoke of a delivery that was then refused. If that fails the sender goes without:
/// the message is there already, and a refusal would have it come again.
pub(super) async fn tell_anew(server: &Shared, arrived: &Arrived<'_>, verdicts: &Verdicts) {
    if let Err(reply) = try_anew(server, arrived, verdicts).await {
        let reason = reply.text();
        tracing::warn!(id = %arrived.body, reason, "a notice of success is left out");
    }
}

async fn try_anew(
    server: &Shared,
    arrived: &Arrived<'_>,
    verdicts: &Verdicts,
) -> Result<(), Reply> {
    let Some(success) = notice(server, arrived, verdicts).await? else {
        return Ok(());
    };
    let verdict = server.handles.meta.run(success.accept).await;
    let (verdict, _) = verdict.map_err(|error| deliver::unavailable(&error))?;
    let accepted = verdict.map_err(|refusal| deliver::refused(&refusal))?;
    if let Some(outbound) = &server.handles.outbound
        && !accepted.queued.is_empty()
    {
        (outbound.wake)();
    }
    Ok(())
}

/// What goes back of the message.
fn header(arrived: &Arrived<'_>) -> Vec<u8> {
    let start = arrived.header.start();
    let end = start.windows(4).position(|window| window == b"\r\n\r\n");
    let header = start.get(..end.map_or(start.len(), |end| end + 4));
    [arrived.received.as_bytes(), header.unwrap_or_default()].concat()
}

/// RFC 3464 §2.3.2: the recipient as the sender knows it. What is behind an alias is not
/// the sender's to know.
fn fact(recipient: &Recipient, action: Action, now: Millis) -> report::Recipient<'_> {
    let original = recipient.parameters.original.as_ref();
    report::Recipient {
        original: original.map(|original| OriginalRecipient {
            kind: &original.kind,
            address: &original.address,
        }),
        address: &recipient.path,
        action,
        status: EnhancedStatus(2, 0, 0),
        remote_host: None,
        reply: None,
        last_attempt: Some(now),
    }
}

/// The deliveries for `recipients`, as the command counts them: it has those alone that
/// were not refused before.
fn deliveries<'a>(
    recipients: impl Iterator<Item = &'a Recipient>,
    verdicts: &Verdicts,
) -> Vec<u32> {
    let mut next = 0..;
    let places: Vec<Option<u32>> = (verdicts.targets.iter())
        .map(|verdict| verdict.as_ref().ok().and_then(|()| next.next()))
        .collect();
    let targets = recipients.flat_map(|recipient| &recipient.targets);
    let found: BTreeSet<u32> = targets
        .filter_map(|&target| places.get(target as usize).copied().flatten())
        .collect();
    found.into_iter().collect()
}
