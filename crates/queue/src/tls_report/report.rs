//! One report: to whom it goes, and what becomes of the results that it tells.
//!
//! A report by mail is accepted by the command that settles its results, so that it
//! goes exactly once, whoever else is about to send it. One by HTTPS is posted
//! before: a node that dies in between, or two at the same moment, post it twice
//! under the same id.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use postrider_meta::command::{Accept, SettleTls};
use postrider_meta::{Refusal, TlsResults};
use postrider_route::{PostError, ReportPlace};
use postrider_types::{Address, Millis};

use super::sender::Sender;
use super::takers::Takers;
use super::{LATE, json, mail};
use crate::collector;
use crate::courier::Shared;

/// How long after the end of its day a report is tried (RFC 8460 §5.4 leaves it
/// open; it is stale after a day).
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is with all places that take it, or in the queue.
    Sent,
    /// Some place does not take it yet; it is tried again.
    Kept,
    /// Nobody wants it any more, or another node was faster.
    Nothing,
}

/// A report in its compressed form.
pub(super) struct Report<'a> {
    pub(super) results: &'a TlsResults,
    pub(super) sender: &'a Sender,
    /// Its name, the same however often it is made of the same results.
    pub(super) id: String,
    pub(super) packed: Bytes,
}

/// The places that do not have a report yet.
struct Places {
    mail: Vec<Address>,
    urls: Vec<String>,
}

/// Sends the report of a domain's day, and forgets the results that all have.
pub(super) async fn send(
    shared: &Shared,
    sender: &Sender,
    results: &TlsResults,
) -> Result<Outcome, String> {
    let Places { mail, urls } = Places::left(shared, results).await?;
    let now = shared.handles.meta.clock().now();
    let goes_on = goes_on(results.day, now);
    let report = Report::write(shared, sender, results, goes_on).map_err(text)?;
    let (mut sent, failed) = post(shared, urls, &report.packed).await;
    let again = !failed.is_empty() && now < deadline(results.day);
    for error in failed {
        let domain = &results.domain;
        match again {
            true => tracing::info!(%domain, %error, "a report about TLS is tried again"),
            false => tracing::warn!(%domain, %error, "a report about TLS is dropped"),
        }
    }
    // Of a day that goes on, all are told all at its end.
    if again && goes_on {
        return Ok(Outcome::Kept);
    }
    let size = report.packed.len();
    let takers = Takers::find(shared, &results.domain, mail, size).await;
    let takers = takers.map_err(text)?;
    sent.extend(takers.places.iter().map(name));
    let accept = match takers.places.is_empty() {
        true => None,
        false => Some(mail::write(shared, &report, takers).await?),
    };
    let any = !sent.is_empty();
    if again && !any {
        return Ok(Outcome::Kept);
    }
    let settled = settle(shared, results, !again, sent, accept).await?;
    Ok(match (settled, again, any) {
        (false, ..) => Outcome::Nothing,
        (true, true, _) => Outcome::Kept,
        (true, false, true) => Outcome::Sent,
        (true, false, false) => Outcome::Nothing,
    })
}

/// Tells the metadata which places have a report. False: its results have changed,
/// or are settled already.
async fn settle(
    shared: &Shared,
    results: &TlsResults,
    done: bool,
    sent: Vec<String>,
    accept: Option<Accept>,
) -> Result<bool, String> {
    let settle = SettleTls {
        day: results.day,
        domain: results.domain.clone(),
        revision: results.revision,
        done,
        sent,
        accept,
    };
    let (verdict, _) = shared.handles.meta.run(settle).await.map_err(text)?;
    match verdict {
        Ok(_) => Ok(true),
        Err(Refusal::NotFound(_)) => Ok(false),
        Err(refusal) => Err(refusal.to_string()),
    }
}

/// Posts a report to all `urls`: those that have it now, and why others have not.
async fn post(shared: &Shared, urls: Vec<String>, packed: &Bytes) -> (Vec<String>, Vec<PostError>) {
    let posts = urls
        .iter()
        .map(|url| shared.poster.post(url, packed.clone()));
    let posted = join_all(posts).await;
    let (mut sent, mut failed) = (Vec::new(), Vec::new());
    for (url, posted) in urls.into_iter().zip(posted) {
        match posted {
            Ok(()) => sent.push(url),
            Err(error) => failed.push(error),
        }
    }
    (sent, failed)
}

impl Places {
    /// Those that the domain names now, without those that have the report.
    async fn left(shared: &Shared, results: &TlsResults) -> Result<Self, String> {
        let wanted = shared.planner.resolver.tls_reporting(&results.domain).await;
        let wanted = wanted.map_err(text)?;
        let places = wanted.map(|wanted| wanted.places).unwrap_or_default();
        let mut left = Self {
            mail: Vec::new(),
            urls: Vec::new(),
        };
        for place in places {
            match place {
                ReportPlace::Mail(address) if !results.sent.contains(&name(&address)) => {
                    left.mail.push(address);
                }
                ReportPlace::Https(url) if !results.sent.contains(&url) => left.urls.push(url),
                ReportPlace::Mail(_) | ReportPlace::Https(_) => {}
            }
        }
        Ok(left)
    }
}

impl<'a> Report<'a> {
    fn write(
        shared: &Shared,
        sender: &'a Sender,
        results: &'a TlsResults,
        goes_on: bool,
    ) -> std::io::Result<Self> {
        let id = id(results, sender, goes_on);
        let contact = shared.settings.tls_reports.contact.as_deref();
        let contact = contact.unwrap_or(&sender.address);
        let packed = json::write(results, sender.domain.as_str(), contact, &id)?;
        Ok(Self {
            results,
            sender,
            id,
            packed: packed.into(),
        })
    }
}

/// The name of a report about `results`. While their day goes on they may grow after
/// some place was told: what differs is called differently, so that no receiver takes
/// the later one for a copy.
fn id(results: &TlsResults, sender: &Sender, goes_on: bool) -> String {
    let (id, revision, domain) = (&results.id, results.revision, &sender.domain);
    match goes_on {
        true => format!("{id}.{revision}@{domain}"),
        // What places have is noted with the results then, which counts as a change.
        false => format!("{id}@{domain}"),
    }
}

/// Whether more results of `day` may come.
fn goes_on(day: u32, now: Millis) -> bool {
    collector::day(now.before(LATE)) <= day
}

/// How an address is called among the places that have a report.
fn name(address: &Address) -> String {
    format!("mailto:{address}")
}

/// When the report of `day` is given up.
fn deadline(day: u32) -> Millis {
    let (_, end) = json::range(day);
    end.after(LIFETIME)
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_types::DomainName;

    #[test]
    fn a_report_is_given_up_a_day_after_its_day() {
        let hours = |hours: u64| Millis(hours * 3_600_000);
        // Day 1 ends after 48 hours.
        assert!(hours(71) < deadline(1));
        assert!(hours(72) >= deadline(1));
    }

    #[test]
    fn while_a_day_goes_on_other_results_make_a_report_of_another_name() {
        let sender = Sender {
            domain: DomainName::parse("example.org").unwrap(),
            address: "postmaster@example.org".into(),
        };
        let results = |revision| TlsResults {
            day: 1,
            domain: DomainName::parse("example.net").unwrap(),
            id: "00".into(),
            revision,
            sent: Vec::new(),
            policies: Vec::new(),
        };
        let id = |revision, goes_on| id(&results(revision), &sender, goes_on);
        assert_eq!(id(1, true), "00.1@example.org");
        assert_eq!(id(2, true), "00.2@example.org");
        assert_eq!(id(2, false), id(3, false));
        // Day 1 ends after 48 hours, and its last results may come a little later.
        let minutes = |minutes: u64| Millis(minutes * 60_000);
        assert!(goes_on(1, minutes(48 * 60 + 9)));
        assert!(!goes_on(1, minutes(48 * 60 + 10)));
    }
}
