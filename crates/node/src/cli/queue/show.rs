//! `postrider queue show`

use postrider_types::{Millis, human};

use super::super::output::{Output, columns};
use super::super::words;
use crate::admin::api;
use crate::client::{Client, segment};

pub(super) async fn run(client: &Client, output: Output, id: &str) -> anyhow::Result<()> {
    let entry: api::Entry = client.get(&format!("queue/{}", segment(id))).await?;
    match output.json {
        true => output.json(&entry),
        false => output.print(&text(&entry, words::now())),
    }
}

pub(super) fn text(entry: &api::Entry, now: Millis) -> String {
    let until = entry.until.map(|until| format!(" until {until}"));
    let due = (entry.state == "waiting").then(|| format!(" ({})", entry.due));
    let mut lines = vec![
        ("entry", format!("q{}", entry.id)),
        ("message", entry.message.clone()),
        ("sender", words::sender(&entry.sender)),
        ("destination", words::harmless(&entry.destination)),
        ("size", human::format_size(entry.size).to_string()),
        (
            "came",
            format!("{}, {} ago", entry.created, words::age(entry.created, now)),
        ),
        (
            "tried",
            words::counted(entry.attempts.into(), "time", "times"),
        ),
        (
            "next",
            words::next(entry, now) + &until.or(due).unwrap_or_default(),
        ),
        (
            "expires",
            format!("{} ({})", words::ahead(entry.expires, now), entry.expires),
        ),
    ];
    let warns = |at| format!("{} ({at})", words::ahead(at, now));
    lines.extend(entry.warn.map(|at| ("warns", warns(at))));
    lines.extend(entry.sign.clone().map(|domain| ("signed as", domain)));
    let error = entry.last_error.as_ref();
    lines.extend(error.map(|error| ("last error", words::harmless(error))));
    let mut text = String::new();
    for (name, value) in lines {
        text += &format!("{name:<13}{value}\n");
    }
    text += "\n";
    let row = |it: &api::Recipient| {
        [
            words::harmless(&it.address),
            words::harmless_or_dash(it.last.as_ref()),
        ]
    };
    text + &columns(
        ["RECIPIENT", "LAST REPLY"],
        entry.recipients.iter().map(row),
    )
}
