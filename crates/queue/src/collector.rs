//! [`Collector`]: the results of outgoing TLS on this node (RFC 8460), counted in
//! memory and put into the metadata from time to time.
//!
//! What is counted here is lost with the node: a report may miss the last minute
//! of it. Nobody waits for a result to be written.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::future::ready;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use metrics::counter;
use parking_lot::Mutex;
use postrider_meta::command::RecordTls;
use postrider_meta::{Client, TlsFailure, TlsFault, TlsPolicy, TlsRecord, limit};
use postrider_relay::{Connection, Failure, TlsCause};
use postrider_route::Resolver;
use postrider_types::{CommandId, DomainName, Millis};
use tokio::time::{sleep, timeout};

use crate::demand::Finding;
use crate::plan::Step;

/// The most results that are told apart; what is beyond is not counted.
const MOST: usize = 10_000;
/// How long a command may be sent again under its id: nobody knows later whether
/// it was applied.
const AGAIN: Duration = Duration::from_secs(4 * 60);
/// The most commands that wait to be sent again.
const PENDING: usize = 100;
/// Domains that are asked at the same time whether they want reports.
const AT_ONCE: usize = 20;
/// How long it is waited for the answer of one.
const ANSWER: Duration = Duration::from_secs(4);
/// How long for those of all: the results of the others wait for it.
const ANSWERS: Duration = Duration::from_secs(30);
/// The same when the node stops.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

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
    /// Domains that gave no answer at the last flush.
    silent: Mutex<HashSet<DomainName>>,
    /// To be sent, or sent without an answer.
    pending: Mutex<VecDeque<Pending>>,
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

    /// Puts what was counted into the metadata, of domains that want reports. Of one
    /// that gives no answer it waits for the next flush, and is then put there anyway:
    /// it is asked again before a report is sent.
    ///
    /// May be given up at any moment, and run twice at the same time: nothing is lost.
    pub(crate) async fn flush(&self, meta: &Client, resolver: &Resolver) {
        let domains = self.domains();
        let answers = ask(&domains, resolver, ANSWERS).await;
        let silent = domains.into_iter().filter(|it| !answers.contains_key(it));
        let before = std::mem::replace(&mut *self.silent.lock(), silent.collect());
        self.stage(meta, |domain| match answers.get(domain) {
            Some(wants) => Some(*wants),
            None => before.contains(domain).then_some(true),
        });
        self.send(meta).await;
    }

    /// Does so for the last time: nothing waits any more.
    pub(crate) async fn flush_last(&self, meta: &Client, resolver: &Resolver) {
        let answers = ask(&self.domains(), resolver, LAST_ANSWERS).await;
        self.stage(meta, |domain| Some(*answers.get(domain).unwrap_or(&true)));
        self.send(meta).await;
    }

    /// The domains of which something was counted.
    fn domains(&self) -> HashSet<DomainName> {
        let counts = self.counts.lock();
        counts.keys().map(|result| result.domain.clone()).collect()
    }

    /// Makes commands of what was counted of domains that want reports, and forgets
    /// what others do not want. None: it is not known yet.
    fn stage(&self, meta: &Client, wants: impl Fn(&DomainName) -> Option<bool>) {
        let counts = self.take(wants);
        let made = Instant::now();
        let mut pending = self.pending.lock();
        for records in records(counts).chunks(limit::TLS_RECORDS) {
            pending.push_back(Pending {
                id: meta.new_id(),
                made,
                record: RecordTls {
                    records: records.to_vec(),
                },
            });
        }
    }

    /// Takes what was counted of domains of which it is known whether they want
    /// reports; what of those that do.
    fn take(&self, wants: impl Fn(&DomainName) -> Option<bool>) -> HashMap<Seen, u64> {
        let mut counts = self.counts.lock();
        let mut taken = HashMap::new();
        for (result, count) in std::mem::take(&mut *counts) {
            match wants(&result.domain) {
                Some(true) => drop(taken.insert(result, count)),
                Some(false) => {}
                None => drop(counts.insert(result, count)),
            }
        }
        taken
    }

    /// Sends all commands that wait, until one gets no answer.
    async fn send(&self, meta: &Client) {
        while let Some((id, record)) = self.first() {
            match meta.run_as(id, record).await {
                Ok((Ok(()), _)) => {}
                Ok((Err(refusal), _)) => {
                    tracing::warn!(%refusal, "results of outgoing TLS are not kept");
                }
                Err(error) => {
                    tracing::debug!(%error, "results of outgoing TLS are kept later");
                    return;
                }
            }
            self.pending.lock().retain(|it| it.id != id);
        }
    }

    /// The command that is sent next. Drops those that may not be sent any more.
    fn first(&self) -> Option<(CommandId, RecordTls)> {
        let mut pending = self.pending.lock();
        while pending.len() > PENDING || pending.front().is_some_and(|it| it.made.elapsed() > AGAIN)
        {
            pending.pop_front();
            tracing::warn!("results of outgoing TLS could not be kept; reports will lack them");
        }
        pending.front().map(|it| (it.id, it.record.clone()))
    }
}

/// The day of a moment, in days since 1970-01-01, UTC.
pub(crate) fn day(at: Millis) -> u32 {
    u32::try_from(at.0 / 86_400_000).unwrap_or(u32::MAX)
}

/// Asks domains whether they want reports: the answers that come `within` the time.
async fn ask(
    domains: &HashSet<DomainName>,
    resolver: &Resolver,
    within: Duration,
) -> HashMap<DomainName, bool> {
    let asking = domains.iter().cloned().map(|domain| async move {
        match timeout(ANSWER, resolver.tls_reporting(&domain)).await {
            Ok(Ok(wanted)) => Some((domain, wanted.is_some())),
            Ok(Err(_)) | Err(_) => None,
        }
    });
    stream::iter(asking)
        .buffer_unordered(AT_ONCE)
        .take_until(sleep(within))
        .filter_map(ready)
        .collect()
        .await
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
mod tests;
