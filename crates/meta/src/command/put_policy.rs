//! Keeps the TLS policy of a domain.

use std::time::Duration;

use postrider_kv::Txn;
use postrider_types::DomainName;
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::stop::Stop;
use crate::view::StsPolicy;
use crate::{key, limit, row};

/// Keeps the policy that a domain publishes for mail to it (MTA-STS, RFC 8461), in
/// place of the one before; or forgets it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutPolicy {
    /// The domain.
    pub domain: DomainName,
    /// The policy; None to forget. One that expires later than in a year is kept
    /// for a year.
    pub policy: Option<StsPolicy>,
}

/// RFC 8461 §3.2: the longest `max_age`.
const LONGEST: Duration = Duration::from_secs(31_557_600);

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: PutPolicy,
) -> Result<(), Stop> {
    let name = &command.domain;
    if let Some(policy) = &command.policy {
        check(policy)?;
    }
    if let Some(before) = row::get::<row::Policy>(txn, &key::policy(name)).await? {
        txn.delete(key::policy_end(before.expires, name));
    }
    let Some(policy) = command.policy else {
        txn.delete(key::policy(name));
        return Ok(());
    };
    let row = row::Policy {
        id: policy.id,
        text: policy.text,
        fetched: policy.fetched.0,
        expires: policy.expires.min(cx.now.after(LONGEST)).0,
    };
    txn.put(key::policy_end(row.expires, name), row::EMPTY);
    row::put(txn, key::policy(name), &row);
    Ok(())
}

fn check(policy: &StsPolicy) -> Result<(), Refusal> {
    let (id, text) = (limit::POLICY_ID, limit::POLICY_TEXT);
    if policy.id.len() > id || policy.text.len() > text {
        let text = format!("a policy has an id of up to {id} and a text of up to {text} bytes");
        return Err(Refusal::Limit(text));
    }
    Ok(())
}
