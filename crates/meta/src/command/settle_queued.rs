//! Tells what became of an entry of the queue that was in hand.

use std::collections::BTreeSet;

use postrider_kv::Txn;
use postrider_types::{Millis, QueueId};
use serde::{Deserialize, Serialize};

use super::{Accept, Accepted};
use crate::api::{Context, Refusal};
use crate::body::References;
use crate::queue::{self, Entry, Queue, cut};
use crate::stop::Stop;
use crate::view::Event;
use crate::{history, limit, row};

/// Tells what became of a leased entry and gives the lease back. Its notices are
/// accepted in the same transaction, so that they are there exactly once.
///
/// Refused with [`Refusal::NotFound`] where the entry is gone or the lease is not
/// the present one: then nothing happens, whatever the command holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SettleQueued {
    /// The entry.
    pub id: QueueId,
    /// The number of the lease.
    pub lease: u64,
    /// Its destination was asked to take it: counts as an attempt.
    pub attempted: bool,
    /// What became of which recipient, by its place in the entry. Those that are
    /// not named stay as they are. Without recipients the entry is gone.
    pub results: Vec<(u32, Settled)>,
    /// Why the entry is kept, if it is; None leaves what was told before. What is
    /// longer than 1 KiB is cut.
    pub error: Option<String>,
    /// When it is tried again; must be given if the entry is kept. One that has
    /// expired is leased again at once, whatever this says.
    pub due: Option<Millis>,
    /// When the sender is to hear that it takes long; None for never (any more). A
    /// moment that has passed makes the entry leased again at once.
    pub warn: Option<Millis>,
    /// Bounces and delivery reports, up to 10.
    pub notices: Vec<Notice>,
    /// What this says about the destination.
    pub destination: DestinationChange,
    /// For the message's history, up to 200.
    pub events: Vec<Event>,
}

/// What became of a recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settled {
    /// Delivered, failed or expired: it leaves the entry.
    Gone,
    /// It stays, with the last reply about it. What is longer than 1 KiB is cut.
    Kept(String),
}

/// A message about the entry, to its sender.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// How it is accepted. If it is refused as a whole, so is the settlement: give
    /// its body no budget, and let its delivery overdraw.
    pub accept: Accept,
}

/// What a settlement says about the entry's destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DestinationChange {
    /// Nothing.
    Keep,
    /// It takes mail: its failures are forgotten.
    Works,
    /// It failed: none of its entries is tried for a while.
    Rest {
        /// Until when.
        until: Millis,
        /// Why. What is longer than 1 KiB is cut.
        error: String,
    },
}

/// What [`SettleQueued`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// The entry is gone: no recipient was left.
    pub gone: bool,
    /// What became of each notice.
    pub notices: Vec<Accepted>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: SettleQueued,
) -> Result<Settlement, Stop> {
    queue::check_count("notices", command.notices.len(), limit::NOTICES)?;
    queue::check_count("events", command.events.len(), limit::EVENTS)?;
    let (id, lease) = (command.id, command.lease);
    let Some(mut entry) = Entry::leased(txn, id, lease).await? else {
        return Err(Refusal::NotFound(format!("lease {lease} of the queued message {id}")).into());
    };
    settle_recipients(&mut entry.row, command.results)?;
    let body = entry.row.body_id()?;
    let gone = entry.row.recipients.is_empty();
    let mut queue = Queue::default();
    if gone {
        queue.remove(txn, &entry).await?;
        let mut references = References::default();
        references.count(body);
        references.drop(txn, cx.latest).await?;
    } else {
        let Some(due) = command.due else {
            let text = "an entry that is kept needs a moment at which it is tried again";
            return Err(Refusal::Invalid(text.into()).into());
        };
        entry.row.release();
        entry.row.due = due.0;
        entry.row.warn = command.warn.map(|warn| warn.0);
        entry.row.attempts += u32::from(command.attempted);
        if let Some(error) = command.error {
            entry.row.last_error = Some(cut(error, limit::REPLY));
        }
        queue.put(txn, &entry).await?;
    }
    let destination = queue.destination(txn, &entry.row.destination).await?;
    change_destination(destination, command.destination, cx.now);
    queue.save(txn).await?;
    history::append(txn, body, command.events).await?;
    let mut notices = Vec::with_capacity(command.notices.len());
    for notice in command.notices {
        notices.push(super::accept::apply(txn, cx, notice.accept).await?);
    }
    Ok(Settlement { gone, notices })
}

/// Takes out the recipients that need nothing any more.
fn settle_recipients(row: &mut row::Queued, results: Vec<(u32, Settled)>) -> Result<(), Refusal> {
    let mut gone = BTreeSet::new();
    for (place, settled) in results {
        let Some(recipient) = row.recipients.get_mut(place as usize) else {
            let text = format!("the queued message has no recipient {place}");
            return Err(Refusal::Invalid(text));
        };
        match settled {
            Settled::Gone => {
                gone.insert(place);
            }
            Settled::Kept(last) => recipient.last = Some(cut(last, limit::REPLY)),
        }
    }
    let mut places = 0..;
    row.recipients
        .retain(|_| !places.next().is_some_and(|place| gone.contains(&place)));
    Ok(())
}

fn change_destination(row: &mut row::Destination, change: DestinationChange, now: Millis) {
    match change {
        DestinationChange::Keep => {}
        DestinationChange::Works => {
            row.failures = 0;
            row.not_before = None;
            row.last_error = None;
        }
        DestinationChange::Rest { until, error } => {
            // Several connections meet the same trouble.
            if row.not_before.is_none_or(|until| until <= now.0) {
                row.failures = row.failures.saturating_add(1);
            }
            row.not_before = Some(until.0);
            row.last_error = Some(cut(error, limit::REPLY));
        }
    }
}
