//! Adds results of outgoing TLS to those of their day.

use postrider_kv::Txn;
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::queue::{check_count, cut};
use crate::stop::Stop;
use crate::view::{TlsFailure, TlsPolicy, TlsRecord};
use crate::{key, limit, row};

/// Adds results of outgoing TLS to those of their day (RFC 8460). Of a domain's day
/// up to 8 policies are told apart and up to 100 failures are kept with details:
/// what is beyond is counted alone, further policies under the last one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordTls {
    /// The results, up to 200.
    pub records: Vec<TlsRecord>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: RecordTls,
) -> Result<(), Stop> {
    check_count("TLS results", command.records.len(), limit::TLS_RECORDS)?;
    for record in command.records {
        check(&record)?;
        let place = key::tls_results(record.day, &record.domain);
        let row: Option<row::TlsResults> = row::get(txn, &place).await?;
        let mut row = row.unwrap_or_else(|| row::TlsResults {
            id: cx.id.as_bytes().to_vec().into(),
            ..row::TlsResults::default()
        });
        row.revision += 1;
        add(&mut row, record);
        row::put(txn, place, &row);
    }
    Ok(())
}

/// Adds a record to its day.
fn add(row: &mut row::TlsResults, record: TlsRecord) {
    let mut room = limit::TLS_DETAILS;
    for policy in &row.policies {
        room = room.saturating_sub(policy.details.len());
    }
    let new = row::TlsPolicy::new(record.policy);
    let known = row.policies.iter().position(|policy| policy.is_same(&new));
    let place = known.unwrap_or_else(|| {
        if row.policies.len() < limit::TLS_POLICIES {
            row.policies.push(new);
        }
        row.policies.len() - 1
    });
    let policy = &mut row.policies[place];
    policy.successes = policy.successes.saturating_add(record.successes);
    for (mut failure, count) in record.failures {
        policy.failures = policy.failures.saturating_add(count);
        failure.reason = failure.reason.map(|reason| cut(reason, limit::TLS_TEXT));
        let new = row::TlsDetail::new(failure);
        let known = policy
            .details
            .iter_mut()
            .find(|detail| detail.is_same(&new));
        match known {
            Some(detail) => detail.count = detail.count.saturating_add(count),
            None if room > 0 => {
                room -= 1;
                policy.details.push(row::TlsDetail { count, ..new });
            }
            None => {}
        }
    }
}

fn check(record: &TlsRecord) -> Result<(), Refusal> {
    check_count("TLS failures", record.failures.len(), limit::TLS_DETAILS)?;
    let host = |(failure, _): &(TlsFailure, u64)| {
        failure
            .host
            .as_ref()
            .is_none_or(|host| host.len() <= limit::TLS_TEXT)
    };
    if !is_short(&record.policy) || !record.failures.iter().all(host) {
        let text = "a TLS policy or the name of a host is too long to be reported";
        return Err(Refusal::Limit(text.into()));
    }
    Ok(())
}

fn is_short(policy: &TlsPolicy) -> bool {
    let fits = |texts: &[String], most: usize| {
        texts.len() <= limit::TLS_STRINGS && texts.iter().all(|text| text.len() <= most)
    };
    fits(&policy.strings, limit::TLS_STRING) && fits(&policy.hosts, limit::TLS_TEXT)
}
