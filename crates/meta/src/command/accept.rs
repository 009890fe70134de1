//! Delivers one message to local accounts.

use bytes::Bytes;
use postrider_kv::Txn;
use postrider_types::{AccountId, Flags, MailboxId, Millis, Uid};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::account::Account;
use crate::api::Refusal;
use crate::mailbox::Mailbox;
use crate::stop::Stop;
use crate::view::NewBody;
use crate::{body, limit, message, name, row};

/// Delivers one message to local accounts, all in one transaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accept {
    /// The body.
    pub body: NewBody,
    /// Who receives it, each account once, 1 to 10,000.
    pub deliveries: Vec<Delivery>,
    /// INTERNALDATE of all.
    pub received: Millis,
}

/// One recipient of [`Accept`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The account.
    pub account: AccountId,
    /// The mailbox's name. Where no mailbox has exactly this name, the first in
    /// the order of names takes the message whose name differs in case only: a
    /// plus detail arrives in lower case. Else INBOX does.
    pub mailbox: String,
    /// Header fields for this recipient, CRLF at the end, at most 8 KiB.
    pub prefix: Bytes,
    /// Flags to set on arrival.
    pub flags: Flags,
    /// Deliver whatever the quota says: for a recipient that was accepted
    /// already, under its quota then, and whose refusal nobody could be told.
    pub overdraft: bool,
}

/// What [`Accept`] did, one per delivery in their order. If none succeeded
/// nothing is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Per delivery: its place, or why not ([`Refusal::OverQuota`],
    /// [`Refusal::Closed`], [`Refusal::NotFound`]).
    pub deliveries: Vec<Result<Delivered, Refusal>>,
}

/// Where a message was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Its UID there.
    pub uid: Uid,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: Accept,
) -> Result<Accepted, Stop> {
    if command.deliveries.is_empty() || command.deliveries.len() > limit::DELIVERIES {
        return Err(Refusal::Limit(format!(
            "a message is delivered to 1 to {} accounts at once",
            limit::DELIVERIES
        ))
        .into());
    }
    body::check_age(cx, &command.body)?;
    let mut message = row::Message {
        internal_date: command.received.0,
        body: Bytes::copy_from_slice(command.body.id.as_bytes()),
        ..row::Message::default()
    };
    let mut deliveries = Vec::with_capacity(command.deliveries.len());
    for delivery in &command.deliveries {
        message.size = command.body.size + delivery.prefix.len() as u64;
        deliveries.push(match deliver(txn, cx, delivery, message.clone()).await {
            Ok(delivered) => Ok(delivered),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(stop) => return Err(stop),
        });
    }
    let references = deliveries.iter().flatten().count() as u64;
    if references > 0 {
        body::store(txn, cx, command.body, references).await?;
    }
    Ok(Accepted { deliveries })
}

/// Delivers to one account. Writes nothing where it refuses.
async fn deliver<T: Txn>(
    txn: &mut T,
    cx: &Context,
    delivery: &Delivery,
    mut message: row::Message,
) -> Result<Delivered, Stop> {
    message::check_prefix(&delivery.prefix)?;
    message::check_flags(&delivery.flags)?;
    message.set_flags(&delivery.flags);
    message.prefix = delivery.prefix.clone();
    let mut account = Account::open_for_mail(txn, cx.now, delivery.account).await?;
    if !delivery.overdraft && !account.has_room(message.size, 1) {
        return Err(Refusal::OverQuota.into());
    }
    let mut mailbox = destination(txn, account.id, &delivery.mailbox).await?;
    let uid = mailbox.add(txn, &mut account, message)?;
    mailbox.save(txn);
    account.save(txn);
    Ok(Delivered {
        mailbox: mailbox.id,
        uid,
    })
}

/// The mailbox that takes a message for the mailbox `name`.
async fn destination<T: Txn>(txn: &T, account: AccountId, name: &str) -> Result<Mailbox, Stop> {
    let name = name::normal(name);
    if let Some(mailbox) = Mailbox::by_name(txn, account, &name).await? {
        return Ok(mailbox);
    }
    if let Some(mailbox) = Mailbox::by_name_in_any_case(txn, account, &name).await? {
        return Ok(mailbox);
    }
    let inbox = Mailbox::by_name(txn, account, name::INBOX).await?;
    Ok(inbox.ok_or_else(|| name::missing(name::INBOX))?)
}
