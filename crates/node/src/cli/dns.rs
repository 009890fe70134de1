//! `postrider domain dns` and `postrider domain rotate-keys`, and what `postrider
//! domain add` says to publish.

use clap::Args;
use hyper::Method;

use super::output::{Output, columns};
use crate::admin::api;
use crate::client::{Client, segment};

/// Show the DNS records to publish for a domain
///
/// Example: postrider domain dns example.org --zone >> example.org.zone
#[derive(Args)]
pub(super) struct Dns {
    /// The domain
    name: String,
    /// As lines of a zone file
    #[arg(long)]
    zone: bool,
}

/// Exchange the keys that a domain's mail is signed with (DKIM), in three steps
///
/// Without an option it makes new keys and shows the records to publish; nothing is signed
/// with them yet. Once DNS has them, --activate signs with them; the old ones stay published,
/// for mail that is on its way. A week later --drop-retired forgets those.
///
/// Example: postrider domain rotate-keys example.org
#[derive(Args)]
pub(super) struct RotateKeys {
    /// The domain
    name: String,
    /// Sign with the new keys from now on
    #[arg(long)]
    activate: bool,
    /// Forget the keys of before
    #[arg(long, conflicts_with = "activate")]
    drop_retired: bool,
    /// Show the records as lines of a zone file
    #[arg(long)]
    zone: bool,
}

impl Dns {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let dns = get(client, &self.name).await?;
        match (output.json, self.zone) {
            (true, _) => output.json(&dns),
            (false, true) => output.print(&zone(&dns.records, &dns)),
            (false, false) => output.print(&text(&dns)),
        }
    }
}

/// What to publish for the domain `name`.
pub(super) async fn get(client: &Client, name: &str) -> anyhow::Result<api::Dns> {
    client.get(&format!("domains/{}/dns", segment(name))).await
}

impl RotateKeys {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let action = match (self.activate, self.drop_retired) {
            (true, _) => "activate",
            (false, true) => "drop_retired",
            (false, false) => "rotate",
        };
        let change = api::ChangeKeys {
            action: action.into(),
        };
        let path = format!("domains/{}/keys", segment(&self.name));
        let dns: api::Dns = client.exchange(Method::POST, &path, &change).await?;
        if output.json {
            return output.json(&dns);
        }
        let selectors = |state: &str| {
            let keys = dns.keys.iter().filter(|key| key.state == state);
            let all: Vec<_> = keys.map(|key| key.selector.as_str()).collect();
            all.join(" and ")
        };
        let domain = &dns.domain;
        let told = match action {
            "activate" => format!(
                "Mail of {domain} is now signed with {}.\n",
                selectors("active")
            ),
            "drop_retired" => {
                format!("{domain} has no retired keys any more: remove their records from DNS.\n")
            }
            _ => {
                let records: Vec<_> = pending(&dns).collect();
                match self.zone {
                    true => return output.print(&zone(records, &dns)),
                    false => format!("Publish for {domain}:\n\n{}", blocks(records)),
                }
            }
        };
        output.print(&(told + &notes(&dns, "Note: ")))
    }
}

/// The records of pending keys.
fn pending(dns: &api::Dns) -> impl Iterator<Item = &api::Record> {
    dns.records.iter().filter(|record| {
        let pending = dns.keys.iter().filter(|key| key.state == "pending");
        let mut names = pending.map(|key| format!("{}._domainkey.{}", key.selector, dns.domain));
        names.any(|name| name == record.name)
    })
}

/// All of it for people.
pub(super) fn text(dns: &api::Dns) -> String {
    let mut text = format!("Publish for {}:\n\n{}", dns.domain, blocks(&dns.records));
    if let Some(policy) = &dns.policy {
        let lines = policy.text.lines().map(|line| format!("    {line}\n"));
        let lines: String = lines.collect();
        text += &format!("Serve at {}:\n{lines}\n", policy.url);
    }
    if !dns.keys.is_empty() {
        let heads = ["SELECTOR", "ALGORITHM", "STATE", "MADE (UTC)"];
        let row = |key: &api::Key| {
            [
                key.selector.clone(),
                key.algorithm.clone(),
                key.state.clone(),
                key.created.to_string(),
            ]
        };
        text += &columns(heads, dns.keys.iter().map(row));
        text += "\n";
    }
    text + &notes(dns, "Note: ")
}

fn blocks<'a>(records: impl IntoIterator<Item = &'a api::Record>) -> String {
    let block = |record: &api::Record| {
        format!(
            "{}  {}\n    {}\n    ({})\n\n",
            record.name, record.kind, record.value, record.purpose
        )
    };
    records.into_iter().map(block).collect()
}

fn zone<'a>(records: impl IntoIterator<Item = &'a api::Record>, dns: &api::Dns) -> String {
    let lines = records
        .into_iter()
        .map(|record| format!("{}\n", record.zone));
    lines.collect::<String>() + &notes(dns, "; ")
}

fn notes(dns: &api::Dns, lead: &str) -> String {
    let notes = dns.notes.iter().map(|note| format!("{lead}{note}\n"));
    notes.collect()
}

#[cfg(test)]
mod tests {
    use postrider_types::Millis;

    use super::*;
    use crate::moment::Moment;

    fn dns() -> api::Dns {
        let record = |name: &str, kind: &str, value: &str| api::Record {
            name: name.into(),
            kind: kind.into(),
            value: value.into(),
            zone: format!("{name}. IN {kind} {value}"),
            purpose: "What for.".into(),
        };
        let key = |selector: &str, state: &str| api::Key {
            selector: selector.into(),
            algorithm: "rsa-sha256".into(),
            state: state.into(),
            created: Moment(Millis::from_seconds(0)),
        };
        api::Dns {
            domain: "example.org".into(),
            records: vec![
                record("example.org", "MX", "10 mail.example.org."),
                record("r2026a._domainkey.example.org", "TXT", "one"),
                record("r2026b._domainkey.example.org", "TXT", "two"),
            ],
            policy: Some(api::Policy {
                url: "https://mta-sts.example.org/.well-known/mta-sts.txt".into(),
                text: "version: STSv1\r\nmode: testing\r\n".into(),
            }),
            keys: vec![key("r2026a", "active"), key("r2026b", "pending")],
            notes: vec!["Do it.".into()],
        }
    }

    #[test]
    fn records_are_shown_with_their_purpose() {
        assert_eq!(
            text(&dns()),
            "Publish for example.org:\n\n\
             example.org  MX\n    10 mail.example.org.\n    (What for.)\n\n\
             r2026a._domainkey.example.org  TXT\n    one\n    (What for.)\n\n\
             r2026b._domainkey.example.org  TXT\n    two\n    (What for.)\n\n\
             Serve at https://mta-sts.example.org/.well-known/mta-sts.txt:\n    \
             version: STSv1\n    mode: testing\n\n\
             SELECTOR  ALGORITHM   STATE    MADE (UTC)\n\
             r2026a    rsa-sha256  active   1970-01-01 00:00:00\n\
             r2026b    rsa-sha256  pending  1970-01-01 00:00:00\n\n\
             Note: Do it.\n"
        );
    }

    #[test]
    fn pending_keys_are_published_alone() {
        let dns = dns();
        assert_eq!(
            zone(pending(&dns), &dns),
            "r2026b._domainkey.example.org. IN TXT two\n; Do it.\n"
        );
    }
}
