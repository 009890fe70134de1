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
use super::{json, mail};
use crate::collector::day;
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
    /// Its name, the same however often it is made.
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
    let report = Report::write(shared, sender, results).map_err(text)?;
    let (mut sent, failed) = post(shared, urls, &report.packed).await;
    let now = shared.handles.meta.clock().now();
    let again = !failed.is_empty() && now < deadline(results.day);
    for error in failed {
        let domain = &results.domain;
        match again {
            true => tracing::info!(%domain, %error, "a report about TLS is tried again"),
            false => tracing::warn!(%domain, %error, "a report about TLS is dropped"),
        }
    }
    // Of a day that goes on, all are told all at its end.
    if again && day(now) <= results.day {
        return Ok(Outcome::Kept);
    }
    let accept = match mail.is_empty() {
        true => None,
        false => Some(mail::write(shared, &report, &mail).await?),
    };
    sent.extend(mail.iter().map(name));
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
    ) -> std::io::Result<Self> {
        let id = format!("{}@{}", results.id, sender.domain);
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

    #[test]
    fn a_report_is_given_up_a_day_after_its_day() {
        let hours = |hours: u64| Millis(hours * 3_600_000);
        // Day 1 ends after 48 hours.
        assert!(hours(71) < deadline(1));
        assert!(hours(72) >= deadline(1));
    }
}
