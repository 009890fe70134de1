//! What may enter the queue, and the rows that it becomes. Everything in an entry
//! is later written into a session of SMTP, so nothing in it may end a line.

use bytes::Bytes;
use postrider_types::{BodyId, Millis};

use super::cut;
use crate::api::Refusal;
use crate::view::{NewDestination, NewQueued, QueueEnvelope, QueuedRecipient};
use crate::{limit, message, row};

/// Refuses what cannot be queued.
pub(crate) fn check(new: &NewQueued) -> Result<(), Refusal> {
    let (most, outside) = (limit::DESTINATIONS, limit::OUTSIDE);
    let recipients: usize = new.destinations.iter().map(|d| d.recipients.len()).sum();
    if !(1..=most).contains(&new.destinations.len()) || recipients > outside {
        return Err(Refusal::Limit(format!(
            "a message is queued for 1 to {most} destinations and up to {outside} recipients at once"
        )));
    }
    message::check_prefix(&new.prefix)?;
    check_envelope(&new.envelope)?;
    let mut destinations = new.destinations.iter();
    destinations.try_for_each(|it| check_destination(it, &new.prefix))
}

fn check_envelope(envelope: &QueueEnvelope) -> Result<(), Refusal> {
    check_text(
        "the reverse-path",
        &envelope.reverse_path,
        0,
        limit::QUEUED_ADDRESS,
    )?;
    match &envelope.envelope_id {
        Some(id) => check_text("ENVID", id, 1, limit::ENVELOPE_ID),
        None => Ok(()),
    }
}

fn check_destination(destination: &NewDestination, prefix: &[u8]) -> Result<(), Refusal> {
    let (name, most) = (&destination.name, limit::QUEUED_RECIPIENTS);
    check_text(
        "the name of a destination",
        name,
        1,
        limit::DESTINATION_NAME,
    )?;
    if let Some(sender) = &destination.sender {
        check_text("the sender", sender, 0, limit::QUEUED_ADDRESS)?;
    }
    if let Some(list) = &destination.list {
        message::check_prefix(&list.prefix)?;
        if destination.seal.is_some() {
            let text = "a copy of a mailing list is signed, not sealed";
            return Err(Refusal::Invalid(text.into()));
        }
        if !destination.fields.is_empty() {
            let text = "a copy of a mailing list has its fields in its prefix";
            return Err(Refusal::Invalid(text.into()));
        }
    }
    message::check_prefix(&destination.fields)?;
    if destination.fields.len() > limit::PREFIX.saturating_sub(prefix.len()) {
        return Err(Refusal::Limit(format!(
            "header fields added on arrival have at most {} bytes",
            limit::PREFIX
        )));
    }
    if let Some(seal) = &destination.seal {
        check_text("the name of a client", &seal.helo, 0, limit::CLIENT_NAME)?;
        let most = limit::QUEUED_ADDRESS;
        check_text("the first sender", &seal.came_from, 0, most)?;
    }
    if name.chars().any(char::is_uppercase) {
        let text = format!("the destination {name:?} is not in lower case");
        return Err(Refusal::Invalid(text));
    }
    if !(1..=most).contains(&destination.recipients.len()) {
        let text = format!("an entry of the queue has 1 to {most} recipients: split it");
        return Err(Refusal::Limit(text));
    }
    destination.recipients.iter().try_for_each(check_recipient)
}

fn check_recipient(recipient: &QueuedRecipient) -> Result<(), Refusal> {
    let most = limit::QUEUED_ADDRESS;
    check_text("the address of a recipient", &recipient.address, 1, most)?;
    let Some((kind, address)) = &recipient.original else {
        return Ok(());
    };
    check_text("the address type of ORCPT", kind, 1, limit::ORIGINAL_KIND)?;
    check_text("the address of ORCPT", address, 1, limit::ORIGINAL)
}

fn check_text(what: &str, text: &str, least: usize, most: usize) -> Result<(), Refusal> {
    if !(least..=most).contains(&text.len()) || text.chars().any(char::is_control) {
        return Err(Refusal::Invalid(format!(
            "{what} has {least} to {most} bytes and no control characters"
        )));
    }
    Ok(())
}

/// The entries of a message that was checked, in the order of the destinations.
pub(crate) fn rows(
    new: NewQueued,
    now: Millis,
    body: BodyId,
    body_size: u64,
) -> impl Iterator<Item = row::Queued> {
    let common = row::Queued {
        body: Bytes::copy_from_slice(body.as_bytes()),
        size: body_size + new.prefix.len() as u64,
        prefix: new.prefix,
        reverse_path: new.envelope.reverse_path,
        ret: row::return_code(new.envelope.ret),
        envelope_id: new.envelope.envelope_id,
        smtp_utf8: new.envelope.smtp_utf8,
        require_tls: new.envelope.require_tls,
        tls_optional: new.envelope.tls_optional,
        sign: new.envelope.sign.map(|domain| domain.to_string()),
        submitter: new.envelope.submitter.map(|account| account.0),
        created: now.0,
        due: new.due.0,
        warn: new.warn.map(|warn| warn.0),
        expires: new.expires.0,
        ..row::Queued::default()
    };
    let mut before = 0;
    new.destinations.into_iter().map(move |destination| {
        let bulk = before >= limit::FEW;
        before += destination.recipients.len();
        let recipients = destination.recipients.into_iter();
        let recipients = recipients.map(|mut recipient| {
            recipient.last = recipient.last.map(|last| cut(last, limit::REPLY));
            row::Recipient::new(recipient)
        });
        let mut row = row::Queued {
            destination: destination.name,
            recipients: recipients.collect(),
            bulk,
            ..common.clone()
        };
        if !destination.fields.is_empty() {
            row.size += destination.fields.len() as u64;
            row.prefix = [destination.fields, row.prefix].concat().into();
        }
        if let Some(sender) = destination.sender {
            row.reverse_path = sender;
            row.sign = None;
        }
        if let Some(seal) = destination.seal {
            row.seal = Some(row::Seal::new(seal));
            row.sign = None;
        }
        if let Some(list) = destination.list {
            row.size = body_size + list.prefix.len() as u64;
            row.prefix = list.prefix;
            row.sign = list.sign.map(|domain| domain.to_string());
            row.ret = row::return_code(None);
            row.envelope_id = None;
            row.list = true;
            row.leaves = list.leaves.map(|list| list.to_string());
        }
        row
    })
}
