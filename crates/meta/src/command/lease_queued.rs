//! Takes entries of the queue in hand.

use std::collections::BTreeSet;
use std::time::Duration;

use postrider_kv::{self as kv, Range, Txn};
use postrider_types::{Millis, NodeId, QueueId};
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::body::References;
use crate::queue::{self, Entry, Queue};
use crate::stop::Stop;
use crate::{cluster, key, limit, row};

/// Takes entries of the queue in hand: first those whose lease has ended, then
/// those whose sender is to hear that they take long or have expired, however their
/// destination rests; then those that are due, destination by destination, the
/// longest due first. Of these the ones in bulk come last, so that who writes to many
/// keeps nobody waiting; their holder sees to it that they get their share.
///
/// An entry is leased once at a time. A lease ends by itself. Where each recipient gets a
/// copy for itself ([`crate::ListCopy::leaves`]), recipients that are due are taken out of
/// their entry, as entries of their own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeaseQueued {
    /// Who takes them. In a cluster: a node of it.
    pub holder: NodeId,
    /// When the holder's program began, by its own clock: tells later which leases were
    /// an earlier life's ([`super::FreeQueued`]).
    pub since: Millis,
    /// How long a lease lasts, up to [`limit::LEASE_TTL`].
    pub ttl: Duration,
    /// Nothing is put off for longer than this: what comes later was put off by a clock
    /// that was ahead, and is due now.
    pub longest: Duration,
    /// The most entries, 1 to 100.
    pub limit: u32,
    /// The most of them that are due and not in bulk.
    pub usual: u32,
    /// The most of them that are due and in bulk.
    pub bulk: u32,
    /// The most entries of one destination, at least 1.
    pub per_destination: u32,
    /// Destinations that are left out, up to 1,000: the holder has enough in hand
    /// for them. What another had in hand, and what the sender is to hear, comes all
    /// the same.
    pub busy: Vec<String>,
    /// Destinations of which nothing in bulk is taken, up to 1,000.
    pub crowded: Vec<String>,
}

/// What [`LeaseQueued`] took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leased {
    /// The entries, each with the number of its lease.
    pub entries: Vec<(QueueId, u64)>,
    /// When something more is to be done, as far as it is not busy; perhaps now,
    /// where a bound was reached. None where nothing waits.
    pub next: Option<Millis>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: LeaseQueued,
) -> Result<Leased, Stop> {
    check(&command)?;
    // A node that stands alone has no row.
    if cluster::cluster(txn).await?.is_some() {
        cluster::member(txn, command.holder).await?;
    }
    let mut work = Work {
        queue: Queue::default(),
        holder: command.holder,
        since: command.since,
        until: cx.now.after(command.ttl),
        entries: Vec::new(),
        references: References::default(),
    };
    let most = command.limit as usize;
    // The clock of an earlier leader may have been ahead.
    let latest = cx.now.after(limit::LEASE_TTL);
    queue::shorten_leases(txn, &mut work.queue, latest).await?;
    let latest = cx.now.after(command.longest);
    queue::bring_forward(txn, &mut work.queue, cx.now, latest).await?;
    let starts = queue::starts(txn).await?;
    if let Some(start) = starts.leases.map(Millis) {
        let ended = key::lease_ends_after(cx.now);
        let part = Part::new(key::lease_ends_from(start), ended, most);
        work.take(txn, part).await?;
    }
    if let Some(start) = starts.alarms.map(Millis) {
        let room = most - work.entries.len();
        let rung = key::alarms_after(cx.now);
        let part = Part::new(key::alarms_from(start), rung, room);
        work.take(txn, part).await?;
    }
    let busy: Names<'_> = command.busy.iter().map(String::as_str).collect();
    let crowded = command.crowded.iter().map(String::as_str);
    let crowded: Names<'_> = crowded.chain(busy.iter().copied()).collect();
    let per_destination = command.per_destination as usize;
    for (bulk, share, left_out) in [
        (false, command.usual, &busy),
        (true, command.bulk, &crowded),
    ] {
        let room = (most - work.entries.len()).min(share as usize);
        let wanted = Wanted {
            bulk,
            room,
            per_destination,
            left_out,
        };
        work.take_due(txn, cx.now, &wanted).await?;
    }
    work.references.add(txn).await?;
    Ok(Leased {
        next: next(txn, &busy, &crowded).await?,
        entries: work.entries,
    })
}

/// Names of destinations.
type Names<'a> = BTreeSet<&'a str>;

/// What is to be taken of what is due.
struct Wanted<'a> {
    bulk: bool,
    room: usize,
    per_destination: usize,
    left_out: &'a Names<'a>,
}

fn check(command: &LeaseQueued) -> Result<(), Refusal> {
    queue::check_ttl(command.ttl)?;
    queue::check_count("busy destinations", command.busy.len(), limit::BUSY)?;
    let crowded = command.crowded.len();
    queue::check_count("crowded destinations", crowded, limit::BUSY)?;
    let most = limit::LEASED;
    if !(1..=most).contains(&(command.limit as usize)) || command.per_destination == 0 {
        let text = format!("1 to {most} entries are leased at once, at least one per destination");
        return Err(Refusal::Limit(text));
    }
    Ok(())
}

/// What the command has done so far.
struct Work {
    queue: Queue,
    holder: NodeId,
    since: Millis,
    until: Millis,
    entries: Vec<(QueueId, u64)>,
    /// Of the entries that were taken out of others.
    references: References,
}

impl Work {
    /// Leases what is due, destination by destination.
    async fn take_due<T: Txn>(
        &mut self,
        txn: &mut T,
        now: Millis,
        wanted: &Wanted<'_>,
    ) -> kv::Result<()> {
        let most = self.entries.len() + wanted.room;
        // Each of them has something that is due, so that there are enough.
        let turns = wanted.room + wanted.left_out.len();
        let turns = queue::turns(txn, wanted.bulk, turns).await?.into_iter();
        for (_, name) in turns.take_while(|(moment, _)| *moment <= now) {
            let room = most - self.entries.len();
            if room == 0 || wanted.left_out.contains(name.as_str()) {
                continue;
            }
            let destination = self.queue.destination(txn, &name).await?;
            if let Some(line) = destination.line(wanted.bulk) {
                let room = room.min(wanted.per_destination);
                let start = key::ready_from(&name, wanted.bulk, Millis(line.first));
                let due = key::ready_after(&name, wanted.bulk, now);
                let part = Part {
                    apart: true,
                    ..Part::new(start, due, room)
                };
                self.take(txn, part).await?;
            }
        }
        Ok(())
    }

    /// Leases entries that the keys in a part of an index point to.
    async fn take<T: Txn>(&mut self, txn: &mut T, part: Part) -> kv::Result<()> {
        let most = self.entries.len() + part.room;
        let index = Range {
            start: part.start,
            end: part.end,
            limit: part.room,
            reverse: false,
        };
        for (key, _) in txn.range(index).await? {
            if self.entries.len() >= most {
                break;
            }
            let id = key::queued_of(&key).ok_or_else(|| row::bad_key(&key))?;
            let Some(mut entry) = Entry::find(txn, id).await? else {
                // Damage, told by `check_consistency`; it must not keep the others.
                txn.delete(key.to_vec());
                continue;
            };
            if part.apart && entry.row.is_bundle() {
                let room = most - self.entries.len();
                self.take_out(txn, &mut entry.row, room).await?;
            }
            // Of what is taken apart, the last recipient keeps the entry.
            if self.entries.len() < most {
                self.hold(&mut entry.row);
                self.entries.push((id, entry.row.lease));
            }
            self.queue.put(txn, &entry).await?;
        }
        self.queue.save(txn).await
    }

    /// Takes up to `room` recipients out of `row`, but not the last, and leases each as
    /// an entry of its own.
    async fn take_out<T: Txn>(
        &mut self,
        txn: &mut T,
        row: &mut row::Queued,
        room: usize,
    ) -> kv::Result<()> {
        let mut left = std::mem::take(&mut row.recipients);
        let body = row.body_id()?;
        let count = room.min(left.len() - 1);
        for recipient in left.drain(..count) {
            let mut own = row::Queued {
                recipients: vec![recipient],
                lease: 0,
                ..row.clone()
            };
            self.hold(&mut own);
            let id = self.queue.add(txn, &own).await?;
            self.references.count(body);
            self.entries.push((id, own.lease));
        }
        row.recipients = left;
        Ok(())
    }

    /// Puts an entry into the holder's hands.
    fn hold(&self, row: &mut row::Queued) {
        row.lease += 1;
        row.holder = Some(self.holder.0);
        row.holder_since = self.since.0;
        row.until = self.until.0;
    }
}

/// A part of an index, and how many entries are taken from it.
struct Part {
    start: Vec<u8>,
    /// Excluded.
    end: Vec<u8>,
    room: usize,
    /// They are to be sent: recipients that get a copy each are taken apart.
    apart: bool,
}

impl Part {
    fn new(start: Vec<u8>, end: Vec<u8>, room: usize) -> Self {
        Self {
            start,
            end,
            room,
            apart: false,
        }
    }
}

/// When something more is to be done. Looks where the indexes begin by now, and
/// writes it down.
async fn next<T: Txn>(
    txn: &mut T,
    busy: &Names<'_>,
    crowded: &Names<'_>,
) -> kv::Result<Option<Millis>> {
    let firsts = queue::firsts(txn, busy.len() + 1, crowded.len() + 1).await?;
    firsts.save(txn).await?;
    let first = |turns: &[(Millis, String)], left_out: &Names<'_>| {
        let mut turns = turns.iter();
        let turn = turns.find(|(_, name)| !left_out.contains(name.as_str()));
        turn.map(|(moment, _)| *moment)
    };
    let turn = first(&firsts.turns, busy);
    let bulk = first(&firsts.bulk_turns, crowded);
    Ok([firsts.lease, firsts.alarm, turn, bulk]
        .into_iter()
        .flatten()
        .min())
}
