//! `postrider queue ...`

mod change;
mod select;
mod show;

use clap::{Args, Subcommand};

use super::output::{Output, columns, fitted};
use super::words;
use crate::admin::api;
use crate::client::Client;
use change::Which;
use select::Filter;

#[derive(Subcommand)]
pub(super) enum Queue {
    List(List),
    /// Show one entry with all its recipients
    Show {
        /// Its id, such as q12
        id: String,
    },
    /// Try entries at once, whatever their destination's rest
    ///
    /// Passes over held ones and those that are being tried.
    ///
    /// Example: postrider queue retry --error "connection refused"
    Retry(Which),
    /// Hold entries: they are neither tried nor sent back until they are released
    ///
    /// Example: postrider queue hold --sender newsletter@example.org
    Hold(Which),
    /// Let held entries go on
    Release(Which),
    /// Remove entries for good; nobody is told
    ///
    /// Example: postrider queue remove --sender spammer@example.org --yes
    Remove {
        /// Needed to remove all that fit a filter
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Try all that waits at once: the same as `retry --all`
    Flush {
        /// Only what goes to this destination
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
    },
    /// List the destinations that mail waits for
    Destinations,
}

/// List the entries of the queue, the oldest first
///
/// An entry is a message on its way to one destination. NEXT tells when it is tried: a
/// destination that rests after failures may put it off (`postrider queue destinations`).
///
/// Example: postrider queue list --domain example.net --error greylist
#[derive(Args)]
pub(super) struct List {
    /// The most to list [default: 100; with --json all]
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    #[command(flatten)]
    filter: Filter,
}

impl Queue {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(client, output).await,
            Self::Show { id } => show::run(client, output, &id).await,
            Self::Retry(which) => which.run(client, output, &change::RETRY).await,
            Self::Hold(which) => which.run(client, output, &change::HOLD).await,
            Self::Release(which) => which.run(client, output, &change::RELEASE).await,
            Self::Remove { which, yes } => which.remove(client, output, yes).await,
            Self::Flush { domain } => {
                Which::flush(domain)
                    .run(client, output, &change::RETRY)
                    .await
            }
            Self::Destinations => destinations(client, output).await,
        }
    }
}

/// Rows of a table where nobody says how many.
const LINES: usize = 100;
/// The longest page to ask for.
const PAGE: usize = 1_000;

impl List {
    async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let path = self.filter.path();
        if output.json {
            return stream(client, output, &path, self.limit.unwrap_or(usize::MAX)).await;
        }
        let limit = self.limit.unwrap_or(LINES);
        // One more tells that there are more.
        let path = format!("{path}&limit={}", limit.saturating_add(1).min(PAGE));
        let (mut entries, mut next) = (Vec::new(), None);
        loop {
            let page: api::List<api::Entry> = client.page(&path, next.as_deref()).await?;
            entries.extend(page.items);
            next = page.next;
            if next.is_none() || entries.len() > limit {
                break;
            }
        }
        let more = entries.len() > limit;
        entries.truncate(limit);
        output.print(&fitted(&table(&entries)))?;
        if more {
            output.print(&format!(
                "There are more than these {limit}: see --limit.\n"
            ))?;
        }
        Ok(())
    }
}

/// Prints up to `limit` entries as an array, page by page: a queue may be longer
/// than memory is large.
async fn stream(client: &Client, output: Output, path: &str, limit: usize) -> anyhow::Result<()> {
    let path = format!("{path}&limit={}", limit.clamp(1, PAGE));
    let (mut left, mut next) = (limit, None);
    let mut lead = "[\n";
    while left > 0 {
        let page: api::List<api::Entry> = client.page(&path, next.as_deref()).await?;
        for entry in page.items.iter().take(left) {
            output.print(&format!("{lead}{}", serde_json::to_string_pretty(entry)?))?;
            lead = ",\n";
        }
        left = left.saturating_sub(page.items.len());
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    output.print(if lead == ",\n" { "\n]\n" } else { "[]\n" })
}

fn table(entries: &[api::Entry]) -> String {
    let now = words::now();
    let heads = [
        "ID",
        "AGE",
        "SIZE",
        "TRIED",
        "SENDER",
        "RECIPIENTS",
        "NEXT",
        "LAST ERROR",
    ];
    let row = |entry: &api::Entry| {
        let recipients = entry.recipients.iter().map(|it| it.address.as_str());
        [
            format!("q{}", entry.id),
            words::age(entry.created, now),
            postrider_types::human::format_size(entry.size).to_string(),
            entry.attempts.to_string(),
            words::sender(&entry.sender),
            words::first(recipients),
            words::next(entry, now),
            words::harmless_or_dash(entry.last_error.as_ref()),
        ]
    };
    columns(heads, entries.iter().map(row))
}

async fn destinations(client: &Client, output: Output) -> anyhow::Result<()> {
    let all: Vec<api::Destination> = client.list("queue/destinations").await?;
    if output.json {
        return output.json(&all);
    }
    let now = words::now();
    let heads = ["DESTINATION", "ENTRIES", "NEXT", "FAILURES", "LAST ERROR"];
    let row = |it: &api::Destination| {
        let rests = it.not_before.filter(|until| until.0 > now);
        let next = match (it.next, rests) {
            (None, _) => "held".into(),
            (Some(_), Some(until)) => format!("rests, {}", words::ahead(until, now)),
            (Some(next), None) => words::ahead(next, now),
        };
        [
            words::harmless(&it.name),
            it.entries.to_string(),
            next,
            it.failures.to_string(),
            words::harmless_or_dash(it.last_error.as_ref()),
        ]
    };
    output.print(&fitted(&columns(heads, all.iter().map(row))))
}

#[cfg(test)]
mod tests;
