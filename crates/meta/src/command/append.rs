//! Appends messages to a mailbox of their owner.

use bytes::Bytes;
use postrider_kv::Txn;
use postrider_types::{AccountId, Flags, MailboxId, Millis, Uid, UidValidity};
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::api::{Context, Refusal};
use crate::mailbox::Mailbox;
use crate::stop::Stop;
use crate::view::NewBody;
use crate::{body, limit, message, name, row};

/// Appends messages to a mailbox, all or none (RFC 9051 §6.3.12, RFC 3502).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Append {
    /// The account.
    pub account: AccountId,
    /// The mailbox's name.
    pub mailbox: String,
    /// The messages, 1 to 100.
    pub messages: Vec<AppendMessage>,
}

/// One message of [`Append`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendMessage {
    /// The body.
    pub body: NewBody,
    /// Its flags.
    pub flags: Flags,
    /// INTERNALDATE.
    pub internal_date: Millis,
    /// INTERNALDATE's zone, minutes east of UTC.
    pub zone: i16,
}

/// What [`Append`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Its UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The UIDs in the order of the messages.
    pub uids: Vec<Uid>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: Append,
) -> Result<Appended, Stop> {
    if command.messages.is_empty() || command.messages.len() > limit::APPEND {
        return Err(Refusal::Limit(format!(
            "1 to {} messages are appended at once",
            limit::APPEND
        ))
        .into());
    }
    let mut account = Account::open(txn, cx.now, command.account).await?;
    let name = name::normal(&command.mailbox);
    let Some(mut mailbox) = Mailbox::by_name(txn, account.id, &name).await? else {
        return Err(name::missing(&name).into());
    };
    let size = command.messages.iter().map(|message| message.body.size);
    let size = size.fold(0, u64::saturating_add);
    if !account.has_room(size, command.messages.len() as u64) {
        return Err(Refusal::OverQuota.into());
    }
    let mut uids = Vec::with_capacity(command.messages.len());
    for message in command.messages {
        message::check_flags(&message.flags)?;
        let mut row = row::Message {
            internal_date: message.internal_date.0,
            zone: message.zone.into(),
            size: message.body.size,
            body: Bytes::copy_from_slice(message.body.id.as_bytes()),
            ..row::Message::default()
        };
        row.set_flags(&message.flags);
        body::store(txn, cx, message.body, 1).await?;
        uids.push(mailbox.add(txn, &mut account, row)?);
    }
    mailbox.save(txn);
    account.save(txn);
    Ok(Appended {
        mailbox: mailbox.id,
        uid_validity: UidValidity(mailbox.row.uid_validity),
        uids,
    })
}
