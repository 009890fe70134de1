//! `postrider tls-reports ...`

use clap::Subcommand;
use hyper::Method;

use super::output::{Output, columns, fitted};
use super::words;
use crate::admin::api;
use crate::client::Client;

#[derive(Subcommand)]
pub(super) enum TlsReports {
    /// List what was counted and not reported yet, by day (UTC), domain and policy
    ///
    /// Nodes count in memory and add it up once a minute. MOST tells the most frequent
    /// failure; with --json there are all.
    List,
    /// Send reports now instead of some hours after the end of their day
    ///
    /// Without --day it sends those of all days that are over.
    ///
    /// Example: postrider tls-reports send --day today
    Send {
        /// Only of this day (UTC), such as 2027-01-31; or `today`: what was counted so far
        #[arg(long, value_name = "DAY")]
        day: Option<String>,
    },
}

impl TlsReports {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        match self {
            Self::List => list(client, output).await,
            Self::Send { day } => send(client, output, day).await,
        }
    }
}

async fn list(client: &Client, output: Output) -> anyhow::Result<()> {
    let all: Vec<api::TlsResults> = client.list("tls-reports").await?;
    if output.json {
        return output.json(&all);
    }
    let heads = ["DAY", "DOMAIN", "POLICY", "SUCCESSES", "FAILURES", "MOST"];
    let pairs = all
        .iter()
        .flat_map(|results| results.policies.iter().map(move |policy| (results, policy)));
    output.print(&fitted(&columns(heads, pairs.map(row))))
}

fn row((results, policy): (&api::TlsResults, &api::TlsPolicy)) -> [String; 6] {
    let most = policy.details.iter().max_by_key(|it| it.count);
    let most = most.map(|it| match &it.host {
        Some(host) => format!("{} of {}", it.result, words::harmless(host)),
        None => it.result.clone(),
    });
    [
        results.day.clone(),
        results.domain.clone(),
        policy.policy.clone(),
        policy.successes.to_string(),
        policy.failures.to_string(),
        most.unwrap_or_else(|| "-".into()),
    ]
}

/// The node works on it for a while, and says where to go on.
async fn send(client: &Client, output: Output, day: Option<String>) -> anyhow::Result<()> {
    let mut ask = api::SendTlsReports { day, after: None };
    let mut all = api::SentTlsReports::default();
    loop {
        let path = "tls-reports/send";
        let part: api::SentTlsReports = client.exchange(Method::POST, path, &ask).await?;
        all.sent += part.sent;
        all.kept += part.kept;
        ask.after = part.next;
        if ask.after.is_none() {
            break;
        }
    }
    match output.json {
        true => output.json(&all),
        false => output.done(&sentence(&all)),
    }
}

fn sentence(sent: &api::SentTlsReports) -> String {
    let reports = |count| words::counted(count, "report", "reports");
    let verb = |count, one, several| if count == 1 { one } else { several };
    let kept = match sent.kept {
        0 => None,
        kept => Some(format!(
            "{} cannot be sent now and {} tried again: the node's log says why",
            reports(kept),
            verb(kept, "is", "are")
        )),
    };
    let gone = match sent.sent {
        0 => None,
        count => Some(format!(
            "{} {} on the way",
            reports(count),
            verb(count, "is", "are")
        )),
    };
    match (gone, kept) {
        (None, None) => "there was nothing to report".into(),
        (Some(text), None) | (None, Some(text)) => text,
        (Some(gone), Some(kept)) => format!("{gone}; {kept}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_told_in_a_sentence() {
        let told = |sent, kept| {
            let next = None;
            sentence(&api::SentTlsReports { sent, kept, next })
        };
        assert_eq!(told(0, 0), "there was nothing to report");
        assert_eq!(told(1, 0), "1 report is on the way");
        assert_eq!(
            told(2, 1),
            "2 reports are on the way; 1 report cannot be sent now and is tried again: the \
             node's log says why"
        );
    }
}
