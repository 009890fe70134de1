//! Takes entries of the queue in hand.

use std::collections::BTreeSet;
use std::time::Duration;

use postrider_kv::{self as kv, Range, Txn};
use postrider_types::{Millis, NodeId, QueueId};
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::queue::{self, Entry, Queue};
use crate::stop::Stop;
use crate::{cluster, key, limit, row};

/// Takes entries of the queue in hand: first those whose lease has ended, then
/// those whose sender is to hear that they take long or have expired, however their
/// destination rests; then those that are due, destination by destination, the
/// longest due first.
///
/// An entry is leased once at a time. A lease ends by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeaseQueued {
    /// Who takes them. In a cluster: a node of it.
    pub holder: NodeId,
    /// How long a lease lasts, up to an hour.
    pub ttl: Duration,
    /// The most entries, 1 to 100.
    pub limit: u32,
    /// The most entries of one destination, at least 1.
    pub per_destination: u32,
    /// Destinations that are left out, up to 1,000: the holder has enough in hand
    /// for them. What another had in hand, and what the sender is to hear, comes all
    /// the same.
    pub busy: Vec<String>,
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
        until: cx.now.after(command.ttl),
        entries: Vec::new(),
    };
    let most = command.limit as usize;
    let starts = queue::starts(txn).await?;
    if let Some(start) = starts.leases.map(Millis) {
        let ended = key::lease_ends_after(cx.now);
        work.take(txn, key::lease_ends_from(start), ended, most)
            .await?;
    }
    if let Some(start) = starts.alarms.map(Millis) {
        let room = most - work.entries.len();
        let rung = key::alarms_after(cx.now);
        work.take(txn, key::alarms_from(start), rung, room).await?;
    }
    let busy: BTreeSet<&str> = command.busy.iter().map(String::as_str).collect();
    // Each of them has something that is due, so that there are enough.
    let turns = most - work.entries.len() + busy.len();
    let turns = queue::firsts(txn, turns).await?.turns.into_iter();
    for (_, name) in turns.take_while(|(moment, _)| *moment <= cx.now) {
        let room = most - work.entries.len();
        if room == 0 || busy.contains(name.as_str()) {
            continue;
        }
        let destination = work.queue.destination(txn, &name).await?;
        if let Some(first) = destination.first.map(Millis) {
            let room = room.min(command.per_destination as usize);
            let due = key::ready_after(&name, cx.now);
            work.take(txn, key::ready_from(&name, first), due, room)
                .await?;
        }
    }
    Ok(Leased {
        next: next(txn, &busy).await?,
        entries: work.entries,
    })
}

fn check(command: &LeaseQueued) -> Result<(), Refusal> {
    queue::check_ttl(command.ttl)?;
    queue::check_count("busy destinations", command.busy.len(), limit::BUSY)?;
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
    until: Millis,
    entries: Vec<(QueueId, u64)>,
}

impl Work {
    /// Leases up to `limit` entries that the keys of an index from `start` to `end`
    /// (excluded) point to.
    async fn take<T: Txn>(
        &mut self,
        txn: &mut T,
        start: Vec<u8>,
        end: Vec<u8>,
        limit: usize,
    ) -> kv::Result<()> {
        let index = Range {
            start,
            end,
            limit,
            reverse: false,
        };
        for (key, _) in txn.range(index).await? {
            let id = key::queued_of(&key).ok_or_else(|| row::bad_key(&key))?;
            let Some(mut entry) = Entry::find(txn, id).await? else {
                // Damage, told by `check_consistency`; it must not keep the others.
                txn.delete(key.to_vec());
                continue;
            };
            entry.row.lease += 1;
            entry.row.holder = Some(self.holder.0);
            entry.row.until = self.until.0;
            self.queue.put(txn, &entry).await?;
            self.entries.push((id, entry.row.lease));
        }
        self.queue.save(txn).await
    }
}

/// When something more is to be done. Looks where the indexes begin by now, and
/// writes it down.
async fn next<T: Txn>(txn: &mut T, busy: &BTreeSet<&str>) -> kv::Result<Option<Millis>> {
    let firsts = queue::firsts(txn, busy.len() + 1).await?;
    firsts.save(txn).await?;
    let mut turns = firsts.turns.iter();
    let turn = turns.find(|(_, name)| !busy.contains(name.as_str()));
    let turn = turn.map(|(moment, _)| *moment);
    Ok([firsts.lease, firsts.alarm, turn]
        .into_iter()
        .flatten()
        .min())
}
