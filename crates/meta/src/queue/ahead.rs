//! Mends what a clock that was ahead has put off: leases that would end, and entries
//! and destinations that would be due, only when that moment comes.

use postrider_kv::{self as kv, Range, Txn};
use postrider_types::Millis;

use super::{Entry, Queue, row};
use crate::{key, limit};

/// Shortens leases that end after `latest`, though none is given that lasts longer.
/// Their holders count by a clock that does not jump, and have let go by then.
pub(crate) async fn shorten_leases<T: Txn>(
    txn: &mut T,
    queue: &mut Queue,
    latest: Millis,
) -> kv::Result<()> {
    let beyond = Range {
        start: key::lease_ends_after(latest),
        ..Range::prefix(&key::lease_ends(), limit::LEASED)
    };
    for (key, _) in txn.range(beyond).await? {
        let id = key::queued_of(&key).ok_or_else(|| row::bad_key(&key))?;
        if let Some(mut entry) = Entry::find(txn, id).await? {
            entry.row.until = latest.0;
            queue.put(txn, &entry).await?;
        }
    }
    queue.save(txn).await
}

/// Makes due what is put off until after `latest`, though nothing is put off for so
/// long: destinations of which nothing comes before that, some at a time.
pub(crate) async fn bring_forward<T: Txn>(
    txn: &mut T,
    queue: &mut Queue,
    now: Millis,
    latest: Millis,
) -> kv::Result<()> {
    let mut room = limit::LEASED;
    for bulk in [false, true] {
        let beyond = Range {
            start: key::turns_from(bulk, after(latest)),
            ..Range::prefix(&key::turns(bulk), limit::LEASED)
        };
        for (key, _) in txn.range(beyond).await? {
            if room == 0 {
                break;
            }
            let (_, name) = key::turn_of(&key).ok_or_else(|| row::bad_key(&key))?;
            let destination = queue.destination(txn, &name).await?;
            destination.not_before = destination.not_before.filter(|rest| *rest <= latest.0);
            let late = Range {
                start: key::ready_from(&name, bulk, after(latest)),
                end: key::ready_end(&name, bulk),
                limit: room,
                reverse: false,
            };
            for (key, _) in txn.range(late).await? {
                let id = key::queued_of(&key).ok_or_else(|| row::bad_key(&key))?;
                if let Some(mut entry) = Entry::find(txn, id).await? {
                    entry.row.due = now.0;
                    queue.put(txn, &entry).await?;
                    room -= 1;
                }
            }
        }
    }
    queue.save(txn).await
}

fn after(moment: Millis) -> Millis {
    Millis(moment.0.saturating_add(1))
}
