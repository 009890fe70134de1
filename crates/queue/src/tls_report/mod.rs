//! Reports to other domains about the TLS of mail to them (RFC 8460), made of what
//! the cluster has counted.
//!
//! Owns the rounds in which all results are looked at; what becomes of one domain's
//! day is decided in `report`.

mod json;
mod mail;
mod report;
mod sender;
mod takers;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use postrider_meta::{Cursor, ReadAt, query};
use postrider_types::DomainName;
use rand::Rng as _;

use crate::collector::day;
use crate::courier::{Shared, Wake};
use report::Outcome;
use sender::Sender;

/// Results in one page; their reports are sent at the same time.
const PAGE: u32 = 20;
/// How long it is waited for what was counted last.
const FLUSH: Duration = Duration::from_secs(5);

/// Between looks for reports that are due, in seconds: at random, so that not all
/// servers of the world report at midnight (RFC 8460 §4.1).
const PAUSE: Range<u64> = 1_800..10_800;
/// How long after the end of a day its last results may still come.
const LATE: Duration = Duration::from_secs(600);

/// Sends reports about TLS when somebody asks for it. Cheap to clone.
#[derive(Clone)]
pub struct TlsReporter {
    shared: Arc<Shared>,
    wake: Wake,
}

/// What became of a page of results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// Days of domains whose report is on its way.
    pub sent: u64,
    /// Those whose report is tried again later: the log says why.
    pub kept: u64,
    /// Where to go on; None where this was the last page.
    pub next: Option<Cursor>,
}

/// Why no report can be sent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReportError {
    /// The settings say so.
    #[error("reports about TLS are turned off on this node: see queue.tls_reports.enabled")]
    Off,
    /// They must be signed.
    #[error(
        "no local domain has keys to sign reports with; make some with \
         `postrider domain rotate-keys`"
    )]
    NoKeys,
    /// The same, for the domain of the settings.
    #[error(
        "queue.tls_reports.from names an address in {0}, which has no keys to sign reports \
         with; make some with `postrider domain rotate-keys`, or name another address"
    )]
    Unsigned(DomainName),
    /// The metadata cannot be asked.
    #[error(transparent)]
    Meta(#[from] postrider_meta::Error),
}

impl TlsReporter {
    pub(crate) fn new(shared: Arc<Shared>, wake: Wake) -> Self {
        Self { shared, wake }
    }

    /// Sends the reports of `days`, in days since 1970-01-01: a page of them, from
    /// `after` on. What this node has counted so far is in them; other nodes may
    /// lack the last minute.
    ///
    /// Takes as long as the slowest place for reports, up to about a minute.
    pub async fn send(
        &self,
        days: Range<u32>,
        after: Option<Cursor>,
    ) -> Result<Reported, ReportError> {
        let shared = &self.shared;
        if !shared.settings.tls_reports.enabled {
            return Err(ReportError::Off);
        }
        if after.is_none() {
            self.flush().await;
        }
        let ask = query::TlsResults {
            after,
            limit: PAGE,
            from: days.start,
            before: days.end,
        };
        let (page, _) = shared.handles.meta.ask(ask, ReadAt::Latest).await?;
        let mut reported = Reported {
            next: page.next,
            ..Reported::default()
        };
        // Where nothing is to be reported nobody needs keys.
        if page.items.is_empty() {
            return Ok(reported);
        }
        let sender = Sender::find(shared).await?;
        let reports = page.items.iter();
        let reports = reports.map(|results| report::send(shared, &sender, results));
        for (results, outcome) in page.items.iter().zip(join_all(reports).await) {
            match outcome {
                Ok(Outcome::Sent) => reported.sent += 1,
                Ok(Outcome::Kept) => reported.kept += 1,
                Ok(Outcome::Nothing) => {}
                Err(error) => {
                    reported.kept += 1;
                    tracing::warn!(
                        domain = %results.domain, error,
                        "a report about TLS cannot be sent; it is tried again"
                    );
                }
            }
        }
        self.wake.wake();
        Ok(reported)
    }

    /// Puts what this node has counted into the metadata. What takes longer goes
    /// into a later report, and is not given up.
    async fn flush(&self) {
        let shared = self.shared.clone();
        let flushing = tokio::spawn(async move { shared.flush_once().await });
        let _ = tokio::time::timeout(FLUSH, flushing).await;
    }

    /// Sends the reports of past days until the courier stops.
    pub(crate) async fn run(self) {
        loop {
            let pause = Duration::from_secs(rand::rng().random_range(PAUSE));
            tokio::select! {
                () = self.shared.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            tokio::select! {
                () = self.shared.stop.cancelled() => return,
                () = self.round() => {}
            }
        }
    }

    /// Sends all reports of past days.
    async fn round(&self) {
        let now = self.shared.handles.meta.clock().now();
        let past = 0..day(now.before(LATE));
        let mut after = None;
        loop {
            match self.send(past.clone(), after).await {
                Ok(reported) => {
                    if reported.sent > 0 {
                        let count = reported.sent;
                        tracing::info!(count, "reports about TLS are on their way");
                    }
                    after = reported.next;
                }
                Err(error) => {
                    tracing::warn!(%error, "reports about TLS cannot be sent now");
                    return;
                }
            }
            if after.is_none() {
                return;
            }
        }
    }
}
