//! A report by mail (RFC 8460 §5.3), ready to be accepted like any other message.
//!
//! Its text and form are `message::tls_report`'s.

use std::time::Duration;

use postrider_message::tls_report::TlsReport;
use postrider_meta::command::Accept;
use postrider_meta::{NewBody, NewQueued, Origin, QueueEnvelope};
use postrider_notice::{delivery, destinations};
use postrider_types::Millis;

use super::json;
use super::report::{Report, text};
use super::sender::Sender;
use super::takers::Takers;
use crate::courier::Shared;

/// How long a report is tried (RFC 8460 §5.3 leaves it open; it is stale after a day).
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The mail that brings `report` to all of `takers`, which must be some.
pub(super) async fn write(
    shared: &Shared,
    report: &Report<'_>,
    takers: Takers,
) -> Result<Accept, String> {
    let Report {
        results,
        sender,
        id,
        packed,
    } = report;
    let now = shared.handles.meta.clock().now();
    let (begin, end) = json::range(results.day);
    let mut random = [0; 16];
    shared.handles.meta.random().fill(&mut random);
    let to: Vec<String> = takers.places.iter().map(ToString::to_string).collect();
    let hostname = &shared.handles.hostname;
    let written = TlsReport {
        domain: results.domain.as_str(),
        submitter: sender.domain.as_str(),
        id,
        begin,
        end,
        from: &sender.address,
        to: &to,
        message_id: &format!("<{}.{}@{hostname}>", results.id, results.revision),
        date: now,
        report: packed,
        random,
    }
    .write();
    let mut intake = shared.handles.bodies.intake();
    intake.write(&written).await.map_err(text)?;
    let body = intake.finish().await.map_err(text)?;
    Ok(accept(shared, sender, body, takers, now))
}

fn accept(shared: &Shared, sender: &Sender, body: NewBody, takers: Takers, now: Millis) -> Accept {
    let hostname = &shared.handles.hostname;
    let date = postrider_message::date::format(now, 0);
    let received = format!("Received: by {hostname} id {};\r\n\t{date}\r\n", body.id);
    let accounts = takers.accounts.values();
    let deliveries = accounts.map(|it| delivery(it, &received)).collect();
    let destinations = destinations(takers.outside);
    let queued = (!destinations.is_empty()).then(|| NewQueued {
        envelope: envelope(sender),
        prefix: received.into(),
        destinations,
        due: now,
        warn: None,
        expires: now.after(LIFETIME),
    });
    Accept {
        deliveries,
        received: now,
        queued,
        notices: Vec::new(),
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

fn envelope(sender: &Sender) -> QueueEnvelope {
    QueueEnvelope {
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
    }
}
