//! `postrider trace`

use clap::Args;

use super::output::{Output, columns, or_dash};
use super::words;
use crate::admin::api;
use crate::client::{Client, segment};

/// Show what happened to a message: how it came, where it went, what others replied
///
/// A message is named by the id in the reply to DATA and in its Received field (32
/// hexadecimal digits), or by an entry of the queue such as q12. Kept for 30 days.
///
/// Example: postrider trace 019ab3c1d2e4a5b6c7d8e9f0a1b2c3d4
#[derive(Args)]
pub(super) struct Trace {
    /// The message's id, or an entry of the queue
    id: String,
}

impl Trace {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let trace: api::Trace = client.get(&format!("trace/{}", segment(&self.id))).await?;
        match output.json {
            true => output.json(&trace),
            false => output.print(&text(&trace)),
        }
    }
}

fn text(trace: &api::Trace) -> String {
    let mut text = format!("message   {}\n", trace.message);
    if let Some(accepted) = &trace.accepted {
        text += &acceptance(accepted);
        text += "\n";
        let row = |place: &api::Place| [words::harmless(&place.address), whereabouts(trace, place)];
        text += &columns(["RECIPIENT", "WHERE"], accepted.recipients.iter().map(row));
        let others = accepted
            .count
            .saturating_sub(accepted.recipients.len() as u64);
        if others > 0 {
            text += &format!("and {others} more\n");
        }
    }
    if !trace.events.is_empty() {
        let heads = ["WHEN (UTC)", "NODE", "WHAT", "RECIPIENT", "HOST", "REPLY"];
        text += "\n";
        text += &columns(heads, trace.events.iter().map(event));
    }
    text
}

fn acceptance(accepted: &api::Acceptance) -> String {
    let node = accepted.node.map(|node| format!(" by node {node}"));
    let login = accepted
        .login
        .as_ref()
        .map(|login| format!(", logged in as {login}"));
    format!(
        "accepted  {} UTC{}, from {} with {}{}\nsender    {}\n",
        accepted.at,
        node.unwrap_or_default(),
        words::harmless(&accepted.peer),
        words::harmless(&accepted.protocol),
        login.unwrap_or_default(),
        words::sender(&accepted.sender),
    )
}

/// Where a recipient's copy is, or what became of it.
fn whereabouts(trace: &api::Trace, place: &api::Place) -> String {
    if let Some(mailbox) = &place.mailbox {
        return format!("mailbox {}", words::harmless(mailbox));
    }
    let Some(id) = place.entry else {
        return "-".into();
    };
    let entry = trace.waiting.iter().find(|entry| entry.id == id);
    if let Some(entry) = entry.filter(|it| it.recipients.iter().any(|r| r.address == place.address))
    {
        let next = words::next(entry, words::now());
        return format!("queue q{id}, {next}");
    }
    let ended = trace.events.iter().rev().find(|event| ends(event, place));
    match ended.map(|event| (event.kind.as_str(), &event.host)) {
        Some(("relayed", Some(host))) => format!("relayed to {}", words::harmless(host)),
        Some((kind, _)) => kind.to_owned(),
        None => format!("left the queue (q{id})"),
    }
}

/// Whether `event` ended what was done for the recipient. A removed entry is told
/// by its destination alone.
fn ends(event: &api::Event, place: &api::Place) -> bool {
    match event.kind.as_str() {
        "relayed" | "failed" => event.recipient.as_ref() == Some(&place.address),
        "removed" => {
            let domain = place.address.rsplit('@').next().unwrap_or_default();
            let host = event.host.as_deref().unwrap_or_default();
            host.eq_ignore_ascii_case(domain)
        }
        _ => false,
    }
}

fn event(event: &api::Event) -> [String; 6] {
    [
        event.at.to_string(),
        or_dash(event.node),
        event.kind.clone(),
        words::harmless_or_dash(event.recipient.as_ref()),
        words::harmless_or_dash(event.host.as_ref()),
        words::harmless_or_dash(event.reply.as_ref()),
    ]
}

#[cfg(test)]
mod tests {
    use postrider_types::Millis;

    use super::*;
    use crate::moment::Moment;

    fn event(second: u64, kind: &str, recipient: Option<&str>) -> api::Event {
        api::Event {
            at: Moment(Millis::from_seconds(1_801_353_600 + second)),
            node: Some(2),
            kind: kind.into(),
            recipient: recipient.map(Into::into),
            host: Some("mx.example.net".into()),
            reply: Some("250 2.0.0 fine\u{1b}".into()),
        }
    }

    #[test]
    fn a_trace_tells_how_it_came_and_where_it_is() {
        let queued = |address: &str| api::Place {
            address: address.into(),
            mailbox: None,
            entry: Some(7),
        };
        let trace = api::Trace {
            message: "0".repeat(32),
            accepted: Some(api::Acceptance {
                at: Moment(Millis::from_seconds(1_801_353_600)),
                node: Some(1),
                peer: "[192.0.2.1]".into(),
                protocol: "ESMTPSA".into(),
                login: Some("alice@example.org".into()),
                sender: "alice@example.org".into(),
                recipients: vec![
                    api::Place {
                        address: "bob@example.org".into(),
                        mailbox: Some("INBOX".into()),
                        entry: None,
                    },
                    queued("a@example.net"),
                    queued("b@example.net"),
                    queued("c@example.net"),
                ],
                count: 6,
            }),
            events: vec![
                event(1, "deferred", Some("a@example.net")),
                event(60, "relayed", Some("a@example.net")),
                event(61, "failed", Some("b@example.net")),
            ],
            waiting: Vec::new(),
        };
        let text = text(&trace);
        for part in [
            "accepted  2027-01-31 00:00:00 UTC by node 1, from [192.0.2.1] with ESMTPSA, logged in as alice@example.org\n",
            "bob@example.org  mailbox INBOX\n",
            "a@example.net    relayed to mx.example.net\n",
            "b@example.net    failed\n",
            "c@example.net    left the queue (q7)\n",
            "and 2 more\n",
            "2027-01-31 00:01:00  2     relayed   a@example.net  mx.example.net  250 2.0.0 fine\n",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }
}
