//! [`Collector`]: the results of outgoing TLS on this node (RFC 8460), counted in
//! memory and put into the metadata from time to time.
//!
//! What is counted here is lost with the node: a report may miss the last minute
//! of it. Nobody waits for a result to be written.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use metrics::counter;
use parking_lot::Mutex;
use postrider_meta::command::RecordTls;
use postrider_meta::{Client, TlsFailure, TlsFault, TlsPolicy, TlsRecord, limit};
use postrider_relay::{Connection, Failure, TlsCause};
use postrider_route::Resolver;
use postrider_types::{CommandId, DomainName, Millis};

use crate::demand::Finding;
use crate::plan::Step;

/// The most results that are told apart; what is beyond is not counted.
const MOST: usize = 10_000;
/// How long a command may be sent again under its id: nobody knows later whether
/// it was applied.
const AGAIN: Duration = Duration::from_secs(4 * 60);
/// The most commands that wait to be sent again.
const PENDING: usize = 100;

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Seen {
    day: u32,
    domain: DomainName,
    policy: TlsPolicy,
    /// None: a success.
    failure: Option<TlsFailure>,
}

/// Counts results.
#[derive(Default)]
pub(crate) struct Collector {
    enabled: bool,
    counts: Mutex<HashMap<Seen, u64>>,
    /// Sent without an answer.
    pending: tokio::sync::Mutex<VecDeque<Pending>>,
}

struct Pending {
    id: CommandId,
    made: Instant,
    record: RecordTls,
}

impl Collector {
    /// One that counts nothing unless `enabled`.
    pub(crate) fn new(enabled: bool) -> Self {
        Self {
            enabled,
            ..Self::default()
        }
    }

    /// Notes what was wrong with a domain before anything was connected.
    pub(crate) fn find(&self, domain: &DomainName, findings: Vec<Finding>, now: Millis) {
        for Finding { policy, failure } in findings {
            self.count(domain, policy, Some(failure), now);
        }
    }

    /// Notes how a connection came out.
    pub(crate) fn note(&self, step: &Step, opened: &Result<Connection, Failure>, now: Millis) {
        let (Some(domain), Some(policy)) = (&step.domain, &step.policy) else {
            return;
        };
        let cause = match opened {
            Ok(connection) if connection.tls().is_some() => None,
            Ok(_) => Some((TlsCause::NotOffered, None)),
            Err(failure) => match failure.tls {
                Some(cause) => Some((cause, Some(failure.text.clone()))),
                // There was no session.
                None => return,
            },
        };
        let local = match opened {
            Ok(connection) => connection.local(),
            Err(failure) => failure.local,
        };
        let failure = cause.map(|(cause, reason)| TlsFailure {
            fault: fault(cause),
            sending_ip: local,
            host: Some(step.peer.host.clone()),
            receiving_ip: Some(step.peer.address.ip()),
            reason,
        });
        self.count(domain, TlsPolicy::clone(policy), failure, now);
    }

    fn count(
        &self,
        domain: &DomainName,
        policy: TlsPolicy,
        failure: Option<TlsFailure>,
        now: Millis,
    ) {
        if !self.enabled {
            return;
        }
        let result = Seen {
            day: day(now),
            domain: domain.clone(),
            policy,
            failure,
        };
        let mut counts = self.counts.lock();
        if counts.len() >= MOST && !counts.contains_key(&result) {
            counter!("postrider_tls_results_dropped_total").increment(1);
            return;
        }
        *counts.entry(result).or_default() += 1;
    }

    /// Puts what was counted into the metadata, of domains that want reports.
    pub(crate) async fn flush(&self, meta: &Client, resolver: &Resolver) {
        let mut pending = self.pending.lock().await;
        let counts = std::mem::take(&mut *self.counts.lock());
        let counts = wanted(counts, resolver).await;
        for records in records(counts).chunks(limit::TLS_RECORDS) {
            pending.push_back(Pending {
                id: meta.new_id(),
                made: Instant::now(),
                record: RecordTls {
                    records: records.to_vec(),
                },
            });
        }
        while pending.len() > PENDING || pending.front().is_some_and(|it| it.made.elapsed() > AGAIN)
        {
            pending.pop_front();
            tracing::warn!("results of outgoing TLS could not be kept; reports will lack them");
        }
        while let Some(first) = pending.front() {
            match meta.run_as(first.id, first.record.clone()).await {
                Ok((Ok(()), _)) => {}
                Ok((Err(refusal), _)) => {
                    tracing::warn!(%refusal, "results of outgoing TLS are not kept");
                }
                Err(error) => {
                    tracing::debug!(%error, "results of outgoing TLS are kept later");
                    return;
                }
            }
            pending.pop_front();
        }
    }
}

/// The day of a moment, in days since 1970-01-01, UTC.
pub(crate) fn day(at: Millis) -> u32 {
    u32::try_from(at.0 / 86_400_000).unwrap_or(u32::MAX)
}

/// Those of domains that want reports. Where that cannot be found out they are
/// kept: it is asked again before a report is sent.
async fn wanted(counts: HashMap<Seen, u64>, resolver: &Resolver) -> HashMap<Seen, u64> {
    let mut asked: HashMap<DomainName, bool> = HashMap::new();
    for domain in counts.keys().map(|result| &result.domain) {
        if !asked.contains_key(domain) {
            let wants = !matches!(resolver.tls_reporting(domain).await, Ok(None));
            asked.insert(domain.clone(), wants);
        }
    }
    let wants = |(result, _): &(Seen, u64)| asked.get(&result.domain) == Some(&true);
    counts.into_iter().filter(wants).collect()
}

/// Puts together what is of the same day, domain and policy.
fn records(counts: HashMap<Seen, u64>) -> Vec<TlsRecord> {
    let mut days: BTreeMap<(u32, DomainName), Vec<TlsRecord>> = BTreeMap::new();
    for (result, count) in counts {
        let day = days.entry((result.day, result.domain.clone())).or_default();
        let has_room = |record: &&mut TlsRecord| {
            record.policy == result.policy && record.failures.len() < limit::TLS_DETAILS
        };
        let record = match day.iter_mut().position(|mut record| has_room(&mut record)) {
            Some(place) => &mut day[place],
            None => {
                day.push(TlsRecord {
                    day: result.day,
                    domain: result.domain,
                    policy: result.policy,
                    successes: 0,
                    failures: Vec::new(),
                });
                day.last_mut().expect("it has just been put there")
            }
        };
        match result.failure {
            None => record.successes += count,
            Some(failure) => record.failures.push((failure, count)),
        }
    }
    days.into_values().flatten().collect()
}

fn fault(cause: TlsCause) -> TlsFault {
    match cause {
        TlsCause::NotOffered => TlsFault::StartTlsNotSupported,
        TlsCause::HostMismatch => TlsFault::CertificateHostMismatch,
        TlsCause::Expired => TlsFault::CertificateExpired,
        TlsCause::NotTrusted => TlsFault::CertificateNotTrusted,
        TlsCause::Other => TlsFault::ValidationFailure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_meta::TlsPolicyKind;

    fn failed(host: &str) -> Finding {
        Finding {
            policy: TlsPolicy {
                kind: TlsPolicyKind::Sts,
                strings: Vec::new(),
                hosts: Vec::new(),
            },
            failure: TlsFailure {
                fault: TlsFault::ValidationFailure,
                sending_ip: None,
                host: Some(host.into()),
                receiving_ip: None,
                reason: None,
            },
        }
    }

    #[test]
    fn results_are_counted_by_day_and_failure() {
        let collector = Collector::new(true);
        let domain = DomainName::parse("example.test").unwrap();
        let both = || vec![failed("a.test"), failed("b.test")];
        collector.find(&domain, both(), Millis(0));
        collector.find(&domain, both(), Millis(86_399_999));
        collector.find(&domain, vec![failed("a.test")], Millis(86_400_000));
        let records = records(std::mem::take(&mut *collector.counts.lock()));
        let counts = |record: &TlsRecord| {
            let counts: Vec<u64> = record.failures.iter().map(|(_, count)| *count).collect();
            (record.day, counts)
        };
        let counts: Vec<_> = records.iter().map(counts).collect();
        assert_eq!(counts, [(0, vec![2, 2]), (1, vec![1])]);
    }

    #[test]
    fn results_are_bounded() {
        let collector = Collector::new(true);
        let domain = DomainName::parse("example.test").unwrap();
        for number in 0..MOST + 5 {
            let findings = vec![failed(&format!("mx{number}.test"))];
            collector.find(&domain, findings, Millis(0));
        }
        let counts = std::mem::take(&mut *collector.counts.lock());
        assert_eq!(counts.len(), MOST);
        let records = records(counts);
        assert_eq!(records.len(), MOST / limit::TLS_DETAILS);
        let off = Collector::new(false);
        off.find(&domain, vec![failed("a.test")], Millis(0));
        assert!(off.counts.lock().is_empty());
    }
}
