//! The queue in the hands of a command: the one place where entries come, change
//! and go, so that rows, indexes, destinations and counters agree.

mod ahead;
mod enter;
mod starts;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::time::Duration;

use postrider_kv::{self as kv, Range, Read, Txn};
use postrider_types::{Millis, QueueId};

use crate::api::Refusal;
use crate::key::{self, QueueCount};
use crate::{limit, row};

pub(crate) use ahead::{bring_forward, shorten_leases};
pub(crate) use enter::{check, rows};
pub(crate) use starts::{firsts, starts, turns};

use starts::lower;

/// What a command has changed so far. To be saved before anything looks at
/// destinations again.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    destinations: BTreeMap<String, Destination>,
    /// The first of the keys that were added to the indexes by time.
    added: row::Starts,
}

/// A destination, as read and changed so far.
#[derive(Debug)]
struct Destination {
    before: Option<row::Destination>,
    row: row::Destination,
}

/// An entry, as read and changed so far.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: QueueId,
    before: row::Queued,
    pub(crate) row: row::Queued,
}

impl Entry {
    /// The entry `id`.
    pub(crate) async fn find(read: &impl Read, id: QueueId) -> kv::Result<Option<Self>> {
        let row: Option<row::Queued> = row::get(read, &key::queued(id)).await?;
        Ok(row.map(|row| Self {
            id,
            before: row.clone(),
            row,
        }))
    }

    /// The entry `id`, if it is in hand under this number. One whose lease has
    /// ended is, as long as nobody else has taken it.
    pub(crate) async fn leased(
        read: &impl Read,
        id: QueueId,
        lease: u64,
    ) -> kv::Result<Option<Self>> {
        let entry = Self::find(read, id).await?;
        Ok(entry.filter(|entry| entry.row.holder.is_some() && entry.row.lease == lease))
    }
}

impl Queue {
    /// Adds an entry.
    pub(crate) async fn add<T: Txn>(
        &mut self,
        txn: &mut T,
        row: &row::Queued,
    ) -> kv::Result<QueueId> {
        let id = QueueId(row::next_number(txn, key::last_queued()).await?);
        self.replace(txn, id, None, Some(row)).await?;
        Ok(id)
    }

    /// Writes what has changed of an entry.
    pub(crate) async fn put<T: Txn>(&mut self, txn: &mut T, entry: &Entry) -> kv::Result<()> {
        self.replace(txn, entry.id, Some(&entry.before), Some(&entry.row))
            .await
    }

    /// Removes an entry. Its reference to the body is the caller's to drop.
    pub(crate) async fn remove<T: Txn>(&mut self, txn: &mut T, entry: &Entry) -> kv::Result<()> {
        self.replace(txn, entry.id, Some(&entry.before), None).await
    }

    async fn replace<T: Txn>(
        &mut self,
        txn: &mut T,
        id: QueueId,
        before: Option<&row::Queued>,
        after: Option<&row::Queued>,
    ) -> kv::Result<()> {
        let Some(any) = after.or(before) else {
            return Ok(());
        };
        let ready = |row: &row::Queued| {
            let moment = row.ready();
            moment.map(|moment| key::ready(&row.destination, row.bulk, moment, id))
        };
        let alarm = |row: &row::Queued| row.alarm().map(|moment| key::alarm(moment, id));
        let lease = |row: &row::Queued| row.lease_end().map(|end| key::lease_end(end, id));
        move_key(txn, before.and_then(ready), after.and_then(ready));
        move_key(txn, before.and_then(alarm), after.and_then(alarm));
        move_key(txn, before.and_then(lease), after.and_then(lease));
        if let Some(after) = after {
            lower(&mut self.added.alarms, after.alarm());
            lower(&mut self.added.leases, after.lease_end());
        }
        let held = |row: Option<&row::Queued>| row.is_some_and(|row| row.held);
        count(txn, QueueCount::Held, held(before), held(after));
        count(txn, QueueCount::Entries, before.is_some(), after.is_some());
        let destination = self.destination(txn, &any.destination).await?;
        match (before, after) {
            (None, Some(_)) => destination.entries += 1,
            (Some(_), None) => destination.entries = destination.entries.saturating_sub(1),
            _ => {}
        }
        if let Some(ready) = after.and_then(row::Queued::ready) {
            let line = destination.line_mut(any.bulk).get_or_insert(row::Line {
                first: ready.0,
                next: ready.0,
            });
            line.first = line.first.min(ready.0);
        }
        match after {
            Some(row) => row::put(txn, key::queued(id), row),
            None => txn.delete(key::queued(id)),
        }
        Ok(())
    }

    /// A destination, to be changed.
    pub(crate) async fn destination(
        &mut self,
        read: &impl Read,
        name: &str,
    ) -> kv::Result<&mut row::Destination> {
        let known = match self.destinations.entry(name.to_owned()) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(new) => {
                let before: Option<row::Destination> =
                    row::get(read, &key::destination(name)).await?;
                let row = before.clone().unwrap_or_default();
                new.insert(Destination { before, row })
            }
        };
        Ok(&mut known.row)
    }

    /// Writes the destinations whose entries have changed, or that were changed
    /// themselves, and where the indexes begin.
    pub(crate) async fn save<T: Txn>(&mut self, txn: &mut T) -> kv::Result<()> {
        for (name, mut known) in std::mem::take(&mut self.destinations) {
            let there = known.row.entries > 0;
            let rest = known.row.not_before.unwrap_or(0);
            for bulk in [false, true] {
                let first = match known.row.line(bulk) {
                    Some(line) => first_ready(txn, &name, bulk, line.first).await?,
                    None => None,
                };
                *known.row.line_mut(bulk) = first.map(|first| row::Line {
                    first,
                    next: first.max(rest),
                });
                let next = |row: &row::Destination| row.line(bulk).map(|line| Millis(line.next));
                let (was, is) = (known.before.as_ref().and_then(next), next(&known.row));
                let turn = |at: Millis| key::turn(bulk, at, &name);
                move_key(txn, was.map(turn), is.map(turn));
                lower(self.added.turns_mut(bulk), is);
            }
            count(txn, QueueCount::Destinations, known.before.is_some(), there);
            match there {
                true => row::put(txn, key::destination(&name), &known.row),
                false => txn.delete(key::destination(&name)),
            }
        }
        starts::lower_all(txn, std::mem::take(&mut self.added)).await
    }
}

/// When the first entry of a destination may be leased, were it not for the
/// destination's rest; `start` is not later than that. None where there is none.
async fn first_ready(
    read: &impl Read,
    destination: &str,
    bulk: bool,
    start: u64,
) -> kv::Result<Option<u64>> {
    let first = Range {
        start: key::ready_from(destination, bulk, Millis(start)),
        end: key::ready_end(destination, bulk),
        limit: 1,
        reverse: false,
    };
    match read.range(first).await?.first() {
        Some((key, _)) => key::ready_of(key)
            .map(|moment| Some(moment.0))
            .ok_or_else(|| row::bad_key(key)),
        None => Ok(None),
    }
}

/// Moves a key that says everything by itself.
fn move_key(txn: &mut impl Txn, was: Option<Vec<u8>>, is: Option<Vec<u8>>) {
    if was == is {
        return;
    }
    if let Some(was) = was {
        txn.delete(was);
    }
    if let Some(is) = is {
        txn.put(is, row::EMPTY);
    }
}

/// Counts something that was, or is, there.
fn count(txn: &mut impl Txn, what: QueueCount, was: bool, is: bool) {
    if was != is {
        txn.add(key::queue_count(what), i64::from(is) - i64::from(was));
    }
}

/// `text`, cut to at most `most` bytes.
pub(crate) fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

/// Refuses a lease that lasts no time, or too long.
pub(crate) fn check_ttl(ttl: Duration) -> Result<(), Refusal> {
    if ttl.is_zero() || ttl > limit::LEASE_TTL {
        let most = limit::LEASE_TTL.as_secs();
        let text = format!("a lease lasts up to {most} seconds");
        return Err(Refusal::Invalid(text));
    }
    Ok(())
}

/// Refuses more of something than one command takes.
pub(crate) fn check_count(what: &str, count: usize, most: usize) -> Result<(), Refusal> {
    if count > most {
        let text = format!("one command takes at most {most} {what}: split it");
        return Err(Refusal::Limit(text));
    }
    Ok(())
}
