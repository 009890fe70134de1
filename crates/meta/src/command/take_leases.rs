//! Grants jobs that one node of the cluster does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use postrider_kv::Txn;
use postrider_types::NodeId;
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::stop::Stop;
use crate::view::LeaseView;
use crate::{cluster, key, limit, row};

/// Grants or prolongs leases: each that is free, has run out, or is the
/// holder's already, for `ttl` from now. Answers the state of all that were
/// asked for, by name. A leader's clock that jumps makes them shorter or longer:
/// a lease saves double work, and nothing may break where two nodes have it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TakeLeases {
    /// Who wants them. In a cluster: a node of it.
    pub holder: NodeId,
    /// The jobs, up to 100 names of 1 to 64 bytes.
    pub names: Vec<String>,
    /// How long, up to [`limit::LEASE_TTL`].
    pub ttl: Duration,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: TakeLeases,
) -> Result<Vec<LeaseView>, Stop> {
    check(&command)?;
    // A node that stands alone has no row.
    if cluster::cluster(txn).await?.is_some() {
        cluster::member(txn, command.holder).await?;
    }
    let mut present = BTreeMap::new();
    // No lease is given that lasts longer: the clock of an earlier leader was ahead.
    // Its holder counts by a clock that does not jump, and has let go by then.
    let latest = cx.now.after(limit::LEASE_TTL);
    for (key, mut lease) in cluster::leases(txn).await? {
        if lease.until > latest.0 {
            lease.until = latest.0;
            row::put(txn, key.to_vec(), &lease);
        }
        if lease.expired(cx.now) {
            txn.delete(key.to_vec());
        } else {
            let lease = lease.view(&key)?;
            present.insert(lease.name.clone(), lease);
        }
    }
    let names: BTreeSet<String> = command.names.into_iter().collect();
    let mut asked = Vec::with_capacity(names.len());
    for name in names {
        let other = present.get(&name).filter(|l| l.holder != command.holder);
        if let Some(other) = other {
            asked.push(other.clone());
            continue;
        }
        let until = cx.now.after(command.ttl);
        let lease = row::Lease {
            holder: command.holder.0,
            until: until.0,
        };
        row::put(txn, key::lease(&name), &lease);
        let lease = LeaseView {
            name: name.clone(),
            holder: command.holder,
            until,
        };
        asked.push(lease.clone());
        present.insert(name, lease);
    }
    if present.len() > limit::LEASES {
        let text = format!("there are at most {} leases at a time", limit::LEASES);
        return Err(Refusal::Limit(text).into());
    }
    Ok(asked)
}

fn check(command: &TakeLeases) -> Result<(), Refusal> {
    let (names, bytes, ttl) = (limit::LEASES, limit::LEASE_NAME, limit::LEASE_TTL);
    if command.names.len() > names {
        let text = format!("at most {names} leases can be asked for at once");
        return Err(Refusal::Limit(text));
    }
    if command
        .names
        .iter()
        .any(|n| n.is_empty() || n.len() > bytes)
    {
        let text = format!("the name of a lease has 1 to {bytes} bytes");
        return Err(Refusal::Invalid(text));
    }
    if command.ttl.is_zero() || command.ttl > ttl {
        let text = format!("a lease lasts up to {} seconds", ttl.as_secs());
        return Err(Refusal::Invalid(text));
    }
    Ok(())
}
