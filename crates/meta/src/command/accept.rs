//! Takes one message: delivers it to local accounts and queues it for outside.

use bytes::Bytes;
use postrider_kv::{self as kv, Txn};
use postrider_types::{AccountId, Flags, MailboxId, Millis, QueueId, Uid};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::account::Account;
use crate::api::Refusal;
use crate::history::{self, Recipients};
use crate::mailbox::Mailbox;
use crate::queue::{self, Queue};
use crate::stop::Stop;
use crate::view::{NewBody, NewQueued, Origin};
use crate::{body, limit, message, name, row};

/// Takes one message: delivers it to local accounts and puts it into the queue for
/// each destination outside, all in one transaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accept {
    /// The body.
    pub body: NewBody,
    /// Who receives it here, each account once, up to 10,000; at least one if
    /// nothing is queued.
    pub deliveries: Vec<Delivery>,
    /// INTERNALDATE of all.
    pub received: Millis,
    /// Where it goes outside. Queued even if no delivery succeeds.
    #[serde(default)]
    pub queued: Option<NewQueued>,
    /// Where it came from: begins its history.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// What its sender is told of it at once, up to 10: accepted in the same
    /// transaction, so that it is there exactly once.
    #[serde(default)]
    pub notices: Vec<Success>,
}

/// A notice to the sender of an accepted message, about deliveries here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Success {
    /// The deliveries that it speaks of, by their places. If one of them is refused,
    /// or nothing of the message is kept, the notice would lie and is left out.
    pub deliveries: Vec<u32>,
    /// How it is accepted; it has no notices itself. If it is refused as a whole, so
    /// is the message: give its body no budget.
    pub accept: Accept,
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

/// What [`Accept`] did, one per delivery in their order. If none succeeded and
/// nothing was queued, nothing is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Per delivery: its place, or why not ([`Refusal::OverQuota`],
    /// [`Refusal::Closed`], [`Refusal::NotFound`]).
    pub deliveries: Vec<Result<Delivered, Refusal>>,
    /// Its entries in the queue, in the order of the destinations.
    #[serde(default)]
    pub queued: Vec<QueueId>,
    /// What became of each notice; None where it was left out.
    #[serde(default)]
    pub notices: Vec<Option<Accepted>>,
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
    mut command: Accept,
) -> Result<Accepted, Stop> {
    check(&command)?;
    let notices = std::mem::take(&mut command.notices);
    let mut accepted = take(txn, cx, command).await?;
    for notice in notices {
        let told = match accepted.fits(&notice) {
            true => Some(take(txn, cx, notice.accept).await?),
            false => None,
        };
        accepted.notices.push(told);
    }
    Ok(accepted)
}

impl Accepted {
    /// Whether `notice` tells the truth.
    fn fits(&self, notice: &Success) -> bool {
        let kept = !self.queued.is_empty() || self.deliveries.iter().any(Result::is_ok);
        let delivered = |place: &u32| {
            let delivery = self.deliveries.get(*place as usize);
            delivery.is_some_and(Result::is_ok)
        };
        kept && notice.deliveries.iter().all(delivered)
    }
}

/// Takes one message.
async fn take<T: Txn>(txn: &mut T, cx: &Context, command: Accept) -> Result<Accepted, Stop> {
    body::check_age(cx, &command.body)?;
    let mut message = row::Message {
        internal_date: command.received.0,
        body: Bytes::copy_from_slice(command.body.id.as_bytes()),
        ..row::Message::default()
    };
    let mut recipients = Recipients::default();
    let mut deliveries = Vec::with_capacity(command.deliveries.len());
    for delivery in &command.deliveries {
        message.size = command.body.size + delivery.prefix.len() as u64;
        let delivered = deliver(txn, cx, delivery, message.clone(), &mut recipients);
        deliveries.push(match delivered.await {
            Ok(delivered) => Ok(delivered),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(stop) => return Err(stop),
        });
    }
    let (id, size) = (command.body.id, command.body.size);
    let queued = match command.queued {
        Some(new) => enqueue(txn, queue::rows(new, cx.now, id, size), &mut recipients).await?,
        None => Vec::new(),
    };
    let references = deliveries.iter().flatten().count() + queued.len();
    if references > 0 {
        body::store(txn, cx, command.body, references as u64).await?;
        if let Some(origin) = command.origin {
            history::begin(txn, id, command.received, origin, recipients);
        }
    }
    Ok(Accepted {
        deliveries,
        queued,
        notices: Vec::new(),
    })
}

fn check(command: &Accept) -> Result<(), Refusal> {
    queue::check_count("notices", command.notices.len(), limit::NOTICES)?;
    for notice in &command.notices {
        check_one(&notice.accept)?;
        if !notice.accept.notices.is_empty() {
            return Err(Refusal::Invalid("a notice has no notices".into()));
        }
        let places = notice.deliveries.len();
        queue::check_count("deliveries of a notice", places, limit::DELIVERIES)?;
    }
    check_one(command)
}

fn check_one(command: &Accept) -> Result<(), Refusal> {
    let nowhere = command.deliveries.is_empty() && command.queued.is_none();
    if nowhere || command.deliveries.len() > limit::DELIVERIES {
        return Err(Refusal::Limit(format!(
            "a message is delivered to 1 to {} accounts at once",
            limit::DELIVERIES
        )));
    }
    command.queued.as_ref().map_or(Ok(()), queue::check)
}

/// Puts the message into the queue.
async fn enqueue<T: Txn>(
    txn: &mut T,
    rows: impl Iterator<Item = row::Queued>,
    recipients: &mut Recipients,
) -> kv::Result<Vec<QueueId>> {
    let mut queue = Queue::default();
    let mut ids = Vec::new();
    for row in rows {
        let id = queue.add(txn, &row).await?;
        for recipient in &row.recipients {
            recipients.add(|| row::Accepted {
                address: recipient.address.clone(),
                mailbox: String::new(),
                entry: id.0,
            });
        }
        ids.push(id);
    }
    queue.save(txn).await?;
    Ok(ids)
}

/// Delivers to one account. Writes nothing where it refuses.
async fn deliver<T: Txn>(
    txn: &mut T,
    cx: &Context,
    delivery: &Delivery,
    mut message: row::Message,
    recipients: &mut Recipients,
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
    recipients.add(|| row::Accepted {
        address: account.row.address.clone(),
        mailbox: mailbox.row.name.clone(),
        entry: 0,
    });
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
