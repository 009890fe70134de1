//! Where the indexes of the queue by time begin ([`row::Starts`]), so that a search
//! need not read over all that was removed since the store was last compacted.

use postrider_kv::{self as kv, Range, Read, Txn};
use postrider_types::Millis;

use crate::{key, row};

/// Where the indexes begin, as they are stored.
pub(crate) async fn starts(read: &impl Read) -> kv::Result<row::Starts> {
    Ok(row::get(read, &key::queue_starts())
        .await?
        .unwrap_or_default())
}

/// Notes that something was added at `moment`.
pub(super) fn lower(start: &mut Option<u64>, moment: Option<Millis>) {
    let moment = moment.map(|moment| moment.0);
    *start = [*start, moment].into_iter().flatten().min();
}

/// Writes that the indexes begin no later than what was `added`.
pub(super) async fn lower_all<T: Txn>(txn: &mut T, added: row::Starts) -> kv::Result<()> {
    if added == row::Starts::default() {
        return Ok(());
    }
    let before = starts(txn).await?;
    let mut after = before;
    lower(&mut after.alarms, added.alarms.map(Millis));
    lower(&mut after.turns, added.turns.map(Millis));
    lower(&mut after.bulk_turns, added.bulk_turns.map(Millis));
    lower(&mut after.leases, added.leases.map(Millis));
    write(txn, before, after);
    Ok(())
}

/// The first key of each index.
pub(crate) struct Firsts {
    pub(crate) alarm: Option<Millis>,
    pub(crate) lease: Option<Millis>,
    /// As many as were asked for.
    pub(crate) turns: Vec<(Millis, String)>,
    /// The same of those in bulk.
    pub(crate) bulk_turns: Vec<(Millis, String)>,
}

/// Up to `most` turns of those in bulk, or of the others.
pub(crate) async fn turns(
    read: &impl Read,
    bulk: bool,
    most: usize,
) -> kv::Result<Vec<(Millis, String)>> {
    let mut found = Vec::new();
    let Some(start) = *starts(read).await?.turns_mut(bulk) else {
        return Ok(found);
    };
    let range = Range {
        start: key::turns_from(bulk, Millis(start)),
        ..Range::prefix(&key::turns(bulk), most)
    };
    for (key, _) in read.range(range).await? {
        found.push(key::turn_of(&key).ok_or_else(|| row::bad_key(&key))?);
    }
    Ok(found)
}

/// The first key of each index, and up to so many turns, and of those in bulk.
pub(crate) async fn firsts(read: &impl Read, usual: usize, bulk: usize) -> kv::Result<Firsts> {
    let starts = starts(read).await?;
    let alarms = starts.alarms.map(Millis).map(key::alarms_from);
    let leases = starts.leases.map(Millis).map(key::lease_ends_from);
    Ok(Firsts {
        alarm: first(read, alarms, &key::alarms()).await?,
        lease: first(read, leases, &key::lease_ends()).await?,
        turns: turns(read, false, usual).await?,
        bulk_turns: turns(read, true, bulk).await?,
    })
}

async fn first(
    read: &impl Read,
    start: Option<Vec<u8>>,
    index: &[u8],
) -> kv::Result<Option<Millis>> {
    let Some(start) = start else {
        return Ok(None);
    };
    let range = Range {
        start,
        ..Range::prefix(index, 1)
    };
    match read.range(range).await?.first() {
        Some((key, _)) => key::alarm_of(key)
            .map(Some)
            .ok_or_else(|| row::bad_key(key)),
        None => Ok(None),
    }
}

/// Writes where the indexes begin, if that is somewhere else than `before`.
pub(crate) fn write<T: Txn>(txn: &mut T, before: row::Starts, after: row::Starts) {
    if before != after {
        row::put(txn, key::queue_starts(), &after);
    }
}

impl Firsts {
    /// Writes that the indexes begin here.
    pub(crate) async fn save<T: Txn>(&self, txn: &mut T) -> kv::Result<()> {
        let after = row::Starts {
            alarms: self.alarm.map(|moment| moment.0),
            turns: self.turns.first().map(|(moment, _)| moment.0),
            bulk_turns: self.bulk_turns.first().map(|(moment, _)| moment.0),
            leases: self.lease.map(|moment| moment.0),
        };
        write(txn, starts(txn).await?, after);
        Ok(())
    }
}
