//! One bounded step of forgetting old verdicts, old removals and old history, and
//! join tokens, leases, TLS policies and TLS results that have ended.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use postrider_kv::{self as kv, Range, Txn};
use postrider_types::{BodyId, CommandId, Millis};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::mailbox::Mailbox;
use crate::stop::Stop;
use crate::{cluster, key, limit, row};

/// Removes old change-log entries, old dedup rows, old history, old TLS results and
/// TLS policies that have ended, a bounded step; and the join tokens and leases whose
/// time is up, which are few.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trim {
    /// Dedup rows of commands made before this, and [`limit::VERDICTS`] before the
    /// moment of evaluation: the caller's clock may be wrong.
    pub dedup_before: CommandId,
    /// The history of messages that arrived before this.
    #[serde(default = "no_history")]
    pub history_before: BodyId,
}

/// A caller that knows of no history trims none.
fn no_history() -> BodyId {
    BodyId::floor(Millis(0))
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
    let history = trim_history(txn, command.history_before).await?;
    let policies = trim_policies(txn, cx.now).await?;
    let reports = trim_tls(txn, cx.now.before(limit::TLS_AGE)).await?;
    trim_cluster(txn, cx.now).await?;
    Ok(Trimmed {
        more: verdicts || removals || history || policies || reports,
    })
}

/// Removes verdicts of commands made before `before`. Whether more are left.
async fn trim_verdicts<T: Txn>(txn: &mut T, before: CommandId) -> kv::Result<bool> {
    trim_first(txn, key::verdicts(), key::verdict(before)).await
}

/// Removes the history of messages that arrived before `before`. Whether more is
/// left.
async fn trim_history<T: Txn>(txn: &mut T, before: BodyId) -> kv::Result<bool> {
    trim_first(txn, key::history(), key::history_of(before)).await
}

/// Removes the TLS results of days that ended before `before`. Whether more are left.
async fn trim_tls<T: Txn>(txn: &mut T, before: Millis) -> kv::Result<bool> {
    let day = u32::try_from(before.0 / 86_400_000).unwrap_or(u32::MAX);
    trim_first(txn, key::all_tls_results(), key::tls_results_from(day)).await
}

/// Removes the first keys from `start` to `end` (excluded). Whether more are left.
async fn trim_first<T: Txn>(txn: &mut T, start: Vec<u8>, end: Vec<u8>) -> kv::Result<bool> {
    let range = Range {
        start,
        end,
        limit: limit::TRIM,
        reverse: false,
    };
    let pairs = txn.range(range.clone()).await?;
    if let Some((last, _)) = pairs.last() {
        txn.delete_range(range.start, kv::key::successor(last));
    }
    Ok(pairs.len() == limit::TRIM)
}

/// Removes TLS policies that have ended. Whether more are left.
async fn trim_policies<T: Txn>(txn: &mut T, now: Millis) -> kv::Result<bool> {
    let range = Range {
        start: key::policy_ends(),
        end: key::policies_after(now),
        limit: limit::TRIM,
        reverse: false,
    };
    let pairs = txn.range(range).await?;
    for (end, _) in &pairs {
        let domain = key::policy_end_of(end).ok_or_else(|| row::bad_key(end))?;
        txn.delete(key::policy(&domain));
        txn.delete(end.to_vec());
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
