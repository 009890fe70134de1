//! Evaluates one command inside a driver's transaction: looks whether it was
//! evaluated before, undoes what a refusal, an error or a panic left behind,
//! and keeps the verdict under the command's id. Never commits.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures::FutureExt;
use postrider_kv::{self as kv, Buffered, Read, Txn};
use postrider_types::AccountId;

use crate::api::{Command, Context, Error, Outcome, Refusal};
use crate::{command, key, limit};

/// What became of one command.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// The domain's verdict, to be told once the transaction is durable; or why
    /// there is none: this command alone failed and left nothing behind.
    pub verdict: Result<Result<Outcome, Refusal>, Error>,
    /// The command had been evaluated before; this is the verdict it got then.
    pub repeated: bool,
    /// Accounts in which something was written: for hints to watchers.
    pub accounts: BTreeSet<AccountId>,
}

/// The version of stored verdicts.
const VERSION: u8 = 1;

/// Evaluates `command` in `txn`, which may hold the writes of earlier commands
/// of the same batch.
///
/// An error means that the store failed and the whole batch with it. A command
/// that panics or meets a damaged row fails alone.
pub async fn evaluate<R: Read>(
    txn: &mut Buffered<R>,
    cx: &Context,
    command: Command,
) -> kv::Result<Evaluated> {
    let verdict_key = key::verdict(cx.id);
    if let Some(stored) = txn.get(&verdict_key).await? {
        return Ok(Evaluated {
            verdict: decode(&verdict_key, &stored),
            repeated: true,
            accounts: BTreeSet::new(),
        });
    }
    if let Some(reason) = untimely(cx) {
        return Ok(Evaluated {
            verdict: Err(Error::Failed(reason)),
            repeated: false,
            accounts: BTreeSet::new(),
        });
    }
    let name = command.name();
    let start = txn.savepoint();
    // The transaction is rolled back after a panic, so no half-made state of it
    // is ever seen.
    let applied = AssertUnwindSafe(command::apply(txn, cx, command))
        .catch_unwind()
        .await;
    let failed = match applied {
        Ok(Ok(Ok(outcome))) => {
            let accounts = txn.keys_since(start).filter_map(key::account_of).collect();
            return Ok(keep(txn, verdict_key, Ok(outcome), accounts));
        }
        Ok(Ok(Err(refusal))) => {
            txn.rollback(start);
            return Ok(keep(txn, verdict_key, Err(refusal), BTreeSet::new()));
        }
        Ok(Err(error @ kv::Error::Engine(_))) => return Err(error),
        Ok(Err(error @ kv::Error::Value { .. })) => error.to_string(),
        Err(panic) => format!("evaluation panicked: {}", panic_text(&*panic)),
    };
    txn.rollback(start);
    Ok(Evaluated {
        verdict: Err(Error::Failed(format!("{name}: {failed}"))),
        repeated: false,
        accounts: BTreeSet::new(),
    })
}

/// Why a command without a verdict must not be evaluated: by its age the verdict
/// may have been forgotten, and it would be applied twice. The id's moment is the
/// caller's, so this also tells of clocks that differ.
fn untimely(cx: &Context) -> Option<String> {
    let made = cx.id.made_at();
    let (earlier, later) = (made.min(cx.now), made.max(cx.now));
    let apart = later.since(earlier);
    (apart > limit::COMMAND_AGE).then(|| {
        format!(
            "the command is dated {} s {} by the leader's clock: the clocks of the nodes differ; \
             have all keep time by NTP",
            apart.as_secs(),
            if made < cx.now { "ago" } else { "ahead" },
        )
    })
}

fn keep<R: Read>(
    txn: &mut Buffered<R>,
    key: Vec<u8>,
    verdict: Result<Outcome, Refusal>,
    accounts: BTreeSet<AccountId>,
) -> Evaluated {
    let mut value = vec![VERSION];
    // With names: what a later version adds to an outcome is passed over here.
    let verdict = match rmp_serde::encode::write_named(&mut value, &verdict) {
        Ok(()) => {
            txn.put(key, value);
            Ok(verdict)
        }
        // Only plain values are in a verdict; were one ever not, then the
        // caller must not be told that the command may be repeated safely.
        Err(error) => Err(Error::Failed(format!(
            "the verdict cannot be kept: {error}"
        ))),
    };
    Evaluated {
        verdict,
        repeated: false,
        accounts,
    }
}

fn decode(key: &[u8], stored: &Bytes) -> Result<Result<Outcome, Refusal>, Error> {
    let damaged = |reason: String| {
        Error::Failed(format!(
            "damaged verdict under {}: {reason}",
            kv::key::escape(key)
        ))
    };
    match stored.split_first() {
        Some((&VERSION, verdict)) => {
            rmp_serde::from_slice(verdict).map_err(|error| damaged(error.to_string()))
        }
        _ => Err(damaged(format!("this program reads version {VERSION}"))),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

#[cfg(test)]
mod tests;
