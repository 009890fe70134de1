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

/// Takes entries of the queue in hand: first those whose sender is to hear that
/// they take long or have expired, however their destination rests; then those
/// that are due, destination by destination, the longest due first.
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
    /// for them. What the sender is to hear comes all the same.
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
    let alarms = piece(key::alarms(), key::alarms_after(cx.now), most);
    work.take(txn, alarms).await?;
    let busy: BTreeSet<&str> = command.busy.iter().map(String::as_str).collect();
    // Each of them has something that is due, so that there are enough.
    let turns = most - work.entries.len() + busy.len();
    let turns = piece(key::turns(), key::turns_after(cx.now), turns);
    for (key, _) in txn.range(turns).await? {
        let (_, name) = key::turn_of(&key).ok_or_else(|| row::bad_key(&key))?;
        let room = most - work.entries.len();
        if room > 0 && !busy.contains(name.as_str()) {
            let room = room.min(command.per_destination as usize);
            let due = piece(key::ready_at(&name), key::ready_after(&name, cx.now), room);
            work.take(txn, due).await?;
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

fn piece(start: Vec<u8>, end: Vec<u8>, limit: usize) -> Range {
    Range {
        start,
        end,
        limit,
        reverse: false,
    }
}

/// What the command has done so far.
struct Work {
    queue: Queue,
    holder: NodeId,
    until: Millis,
    entries: Vec<(QueueId, u64)>,
}

impl Work {
    /// Leases the entries that the keys of an index point to.
    async fn take<T: Txn>(&mut self, txn: &mut T, index: Range) -> kv::Result<()> {
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

/// When something more is to be done.
async fn next<T: Txn>(txn: &T, busy: &BTreeSet<&str>) -> kv::Result<Option<Millis>> {
    let alarms = txn.range(Range::prefix(&key::alarms(), 1)).await?;
    let alarm = alarms.first().map(|(key, _)| {
        let moment = key::alarm_of(key);
        moment.ok_or_else(|| row::bad_key(key))
    });
    let mut next = alarm.transpose()?;
    let turns = Range::prefix(&key::turns(), busy.len() + 1);
    for (key, _) in txn.range(turns).await? {
        let (moment, name) = key::turn_of(&key).ok_or_else(|| row::bad_key(&key))?;
        if !busy.contains(name.as_str()) {
            next = Some(next.map_or(moment, |next| next.min(moment)));
            break;
        }
    }
    Ok(next)
}
