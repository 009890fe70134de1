//! One bounded step of forgetting old verdicts and old removals, join tokens and
//! leases.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use postrider_kv::{self as kv, Range, Txn};
use postrider_types::{CommandId, Millis};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::mailbox::Mailbox;
use crate::stop::Stop;
use crate::{cluster, key, limit, row};

/// Removes old change-log entries and old dedup rows, a bounded step; and the
/// join tokens and leases whose time is up, which are few.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trim {
    /// Dedup rows of commands made before this, and [`limit::VERDICTS`] before the
    /// moment of evaluation: the caller's clock may be wrong.
    pub dedup_before: CommandId,
}

/// What [`Trim`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trimmed {
    /// There is more to trim.
    pub more: bool,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: Trim,
) -> Result<Trimmed, Stop> {
    let oldest = CommandId::floor(cx.now.before(limit::VERDICTS));
    let verdicts = trim_verdicts(txn, command.dedup_before.min(oldest)).await?;
    let removals = trim_log(txn, cx.now.before(limit::LOG_AGE)).await?;
    trim_cluster(txn, cx.now).await?;
    Ok(Trimmed {
        more: verdicts || removals,
    })
}

/// Removes verdicts of commands made before `before`. Whether more are left.
async fn trim_verdicts<T: Txn>(txn: &mut T, before: CommandId) -> kv::Result<bool> {
    let range = Range {
        start: key::verdicts(),
        end: key::verdict(before),
        limit: limit::TRIM,
        reverse: false,
    };
    let pairs = txn.range(range.clone()).await?;
    if let Some((last, _)) = pairs.last() {
        txn.delete_range(range.start, kv::key::successor(last));
    }
    Ok(pairs.len() == limit::TRIM)
}

/// Removes removals from before `before` out of the change logs. Whether more
/// are left.
async fn trim_log<T: Txn>(txn: &mut T, before: Millis) -> kv::Result<bool> {
    let range = Range {
        start: key::vanished_times(),
        end: key::vanished_before(before),
        limit: limit::TRIM,
        reverse: false,
    };
    let pairs = txn.range(range).await?;
    let mut mailboxes: BTreeMap<_, Option<Mailbox>> = BTreeMap::new();
    for (entry, _) in &pairs {
        let found = key::vanished_time_of(entry);
        let (at, account, id, mod_seq) = found.ok_or_else(|| row::bad_key(entry))?;
        let mailbox = match mailboxes.entry((account, id)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Mailbox::by_id(txn, account, id).await?),
        };
        match mailbox {
            Some(mailbox) => mailbox.forget(txn, at, mod_seq),
            // Deleted and about to be purged.
            None => {
                txn.delete(key::vanished(account, id, mod_seq));
                txn.delete(entry.to_vec());
            }
        }
    }
    for mailbox in mailboxes.into_values().flatten() {
        mailbox.save(txn);
    }
    Ok(pairs.len() == limit::TRIM)
}

/// Removes join tokens and leases whose time is up.
async fn trim_cluster<T: Txn>(txn: &mut T, now: Millis) -> kv::Result<()> {
    let tokens = cluster::tokens(txn).await?.into_iter();
    let tokens = tokens.filter(|(_, token)| token.expired(now));
    let leases = cluster::leases(txn).await?.into_iter();
    let leases = leases.filter(|(_, lease)| lease.expired(now));
    let keys = tokens.map(|(key, _)| key).chain(leases.map(|(key, _)| key));
    for key in keys {
        txn.delete(key.to_vec());
    }
    Ok(())
}
