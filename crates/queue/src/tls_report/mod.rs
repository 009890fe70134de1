//! Reports to other domains about the TLS of mail to them (RFC 8460), made of what
//! the cluster has counted.
//!
//! A report by mail is accepted by the command that settles its results, so that it
//! goes exactly once, whoever else is about to send it.

mod json;
mod sender;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use postrider_message::tls_report::TlsReport;
use postrider_meta::command::{Accept, SettleTls};
use postrider_meta::{
    Client, Cursor, NewBody, NewDestination, NewQueued, Notify, Origin, QueueEnvelope,
    QueuedRecipient, ReadAt, TlsResults, query,
};
use postrider_route::ReportPlace;
use postrider_types::{Address, Millis};
use rand::Rng as _;

use crate::courier::{Shared, Wake};
use sender::Sender;

/// How long a report is tried (RFC 8460 §5.3 leaves it open; it is stale after a day).
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Results in one page.
const PAGE: u32 = 20;

/// Between looks for reports that are due, in seconds: at random, so that not all
/// servers of the world report at midnight (RFC 8460 §4.1).
const PAUSE: std::ops::Range<u64> = 1_800..10_800;
/// How long after the end of a day its last results may still come.
const LATE: Duration = Duration::from_secs(600);

/// Sends the reports of past days until the courier stops.
pub(crate) async fn run(shared: Arc<Shared>, wake: Wake) {
    loop {
        let pause = Duration::from_secs(rand::rng().random_range(PAUSE));
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let now = shared.handles.meta.clock().now();
        let today = now.before(LATE).0 / 86_400_000;
        let sent = tokio::select! {
            () = shared.stop.cancelled() => return,
            sent = send(&shared, u32::try_from(today).unwrap_or(u32::MAX)) => sent,
        };
        match sent {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(count, "reports about TLS are on their way");
                wake.wake();
            }
            Err(error) => tracing::warn!(error, "reports about TLS cannot be sent now"),
        }
    }
}

/// Sends the reports of all days before `before`. Returns how many.
pub(crate) async fn send(shared: &Shared, before: u32) -> Result<u64, String> {
    let meta = &shared.handles.meta;
    let mut after: Option<Cursor> = None;
    let mut sent = 0;
    loop {
        let ask = query::TlsResults {
            after,
            limit: PAGE,
            before,
        };
        let (page, _) = meta.ask(ask, ReadAt::Latest).await.map_err(text)?;
        // Where nothing is to be reported nobody needs keys.
        if page.items.is_empty() {
            return Ok(sent);
        }
        let Some(sender) = Sender::find(shared).await.map_err(text)? else {
            return Err("no local domain has keys to sign reports with".into());
        };
        for results in page.items {
            match report(shared, &sender, &results).await {
                Ok(true) => sent += 1,
                Ok(false) => {}
                Err(error) => tracing::warn!(
                    domain = %results.domain, error,
                    "a report about TLS cannot be sent; it is tried again"
                ),
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(sent);
        }
    }
}

/// Sends the report of a domain's day, and forgets its results. False: nobody
/// wants it, or another node was faster.
async fn report(shared: &Shared, sender: &Sender, results: &TlsResults) -> Result<bool, String> {
    let wanted = shared.planner.resolver.tls_reporting(&results.domain).await;
    let wanted = wanted.map_err(text)?;
    let places = wanted.map(|wanted| wanted.places).unwrap_or_default();
    let mut to = Vec::new();
    for place in places {
        match place {
            ReportPlace::Mail(address) => to.push(address),
            ReportPlace::Https(url) => {
                tracing::debug!(domain = %results.domain, url, "no report goes there");
            }
        }
    }
    let accept = match to.is_empty() {
        true => None,
        false => Some(mail(shared, sender, results, &to).await?),
    };
    let sends = accept.is_some();
    let settle = SettleTls {
        day: results.day,
        domain: results.domain.clone(),
        revision: results.revision,
        done: true,
        sent: Vec::new(),
        accept,
    };
    let meta: &Client = &shared.handles.meta;
    let (verdict, _) = meta.run(settle).await.map_err(text)?;
    // Refused: they have changed, or are settled already.
    Ok(sends && verdict.is_ok())
}

/// The mail with the report.
async fn mail(
    shared: &Shared,
    sender: &Sender,
    results: &TlsResults,
    to: &[Address],
) -> Result<Accept, String> {
    let now = shared.handles.meta.clock().now();
    let id = format!("{}@{}", results.id, sender.domain);
    let contact = shared.settings.tls_reports.contact.as_deref();
    let contact = contact.unwrap_or(&sender.address);
    let report = json::write(results, sender.domain.as_str(), contact, &id).map_err(text)?;
    let (begin, end) = json::range(results.day);
    let mut random = [0; 16];
    shared.handles.meta.random().fill(&mut random);
    let to: Vec<String> = to.iter().map(ToString::to_string).collect();
    let written = TlsReport {
        domain: results.domain.as_str(),
        submitter: sender.domain.as_str(),
        id: &id,
        begin,
        end,
        from: &sender.address,
        to: &to,
        message_id: &format!(
            "<{}.{}@{}>",
            results.id, results.revision, shared.handles.hostname
        ),
        date: now,
        report: &report,
        random,
    }
    .write();
    let mut intake = shared.handles.bodies.intake();
    intake.write(&written).await.map_err(text)?;
    let body = intake.finish().await.map_err(text)?;
    Ok(accept(shared, sender, body, to, now))
}

fn accept(shared: &Shared, sender: &Sender, body: NewBody, to: Vec<String>, now: Millis) -> Accept {
    let hostname = &shared.handles.hostname;
    let date = postrider_message::date::format(now, 0);
    let received = format!("Received: by {hostname} id {};\r\n\t{date}\r\n", body.id);
    Accept {
        deliveries: Vec::new(),
        received: now,
        queued: Some(NewQueued {
            envelope: QueueEnvelope {
                // Nobody waits for what comes back.
                reverse_path: String::new(),
                ret: None,
                envelope_id: None,
                smtp_utf8: false,
                require_tls: false,
                // RFC 8460 §3: reports go even where TLS fails.
                tls_optional: true,
                sign: Some(sender.domain.clone()),
                submitter: None,
            },
            prefix: received.into(),
            destinations: destinations(to),
            due: now,
            warn: None,
            expires: now.after(LIFETIME),
        }),
        origin: Some(Origin {
            node: Some(shared.handles.node),
            peer: hostname.clone(),
            login: None,
            protocol: "report about TLS".into(),
            reverse_path: String::new(),
        }),
        body,
    }
}

fn destinations(to: Vec<String>) -> Vec<NewDestination> {
    let mut by_name: BTreeMap<String, Vec<QueuedRecipient>> = BTreeMap::new();
    for address in to {
        let Some((_, name)) = address.rsplit_once('@') else {
            continue;
        };
        let name = name.to_ascii_lowercase();
        by_name.entry(name).or_default().push(QueuedRecipient {
            address,
            notify: Some(Notify::default()),
            original: None,
            last: None,
        });
    }
    let destination = |(name, recipients)| NewDestination {
        name,
        recipients,
        sender: None,
        seal: None,
    };
    by_name.into_iter().map(destination).collect()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
