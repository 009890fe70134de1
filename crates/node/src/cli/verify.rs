//! `postrider verify`

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::output::{Output, Progress};
use crate::admin::api::Verified;
use crate::client::{Client, value};

/// Compare the metadata with the bucket, and look whether the backups are whole
///
/// Reads every body and checks it against its checksum, looks for objects that nobody knows, and
/// reads all snapshots and all of the archived log. Names each difference. The node goes on with its
/// work; reading all takes its time and what the bucket asks for it. `postrider check` looks for
/// contradictions within the metadata.
///
/// Exit code 0 if there is no difference, else 1.
///
/// Example: postrider verify --quick --dir /var/lib/postrider
#[derive(Args)]
pub(super) struct Verify {
    /// Read no bodies and no backups: look whether all objects are there with the right length
    #[arg(long)]
    quick: bool,
}

/// What is looked at, in this order: as the API calls it, and in words.
const PARTS: [(&str, &str); 4] = [
    ("objects", "objects"),
    ("bodies", "bodies"),
    ("unknown", "objects in the bucket"),
    ("backup", "objects of the backups"),
];

/// What was found.
#[derive(Default, Serialize)]
struct Found {
    problems: Vec<String>,
    /// Objects that nobody knows and that the sweep has yet to remove.
    waiting: u64,
    objects: u64,
    bodies: u64,
    bytes: u64,
    backups: u64,
}

impl Verify {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<ExitCode> {
        let progress = Progress::new(output);
        let mut found = Found::default();
        for (part, words) in PARTS {
            if self.quick && part == "bodies" {
                continue;
            }
            let mut after = None;
            let (mut checked, mut bytes) = (0, 0);
            loop {
                let step = self.step(client, part, after.as_deref()).await?;
                checked += step.checked;
                bytes += step.bytes;
                if !output.json {
                    for problem in &step.problems {
                        progress.end();
                        output.print(&format!("{problem}\n"))?;
                    }
                }
                found.problems.extend(step.problems);
                found.waiting += step.waiting.len() as u64;
                let size = postrider_types::human::format_size(bytes);
                progress.tell(&format!("{checked} {words}, {size} read"));
                after = step.next;
                if after.is_none() {
                    break;
                }
            }
            found.bytes += bytes;
            match part {
                "objects" => found.objects = checked,
                "bodies" => found.bodies = checked,
                "backup" => found.backups = checked,
                _ => {}
            }
        }
        progress.end();
        match output.json {
            true => output.json(&found)?,
            false => output.print(&summary(&found, self.quick))?,
        }
        Ok(if found.problems.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    async fn step(
        &self,
        client: &Client,
        part: &str,
        after: Option<&str>,
    ) -> anyhow::Result<Verified> {
        let mut path = format!("verify/{part}?quick={}", self.quick);
        if let Some(after) = after {
            path += &format!("&after={}", value(after));
        }
        client.get_slowly(&path).await
    }
}

fn summary(found: &Found, quick: bool) -> String {
    let bodies = match quick {
        true => String::new(),
        false => format!("{} bodies, ", found.bodies),
    };
    let waiting = match found.waiting {
        0 => String::new(),
        count => format!(" {count} objects that nobody knows wait to be swept."),
    };
    let verdict = match found.problems.len() {
        0 => "no difference".to_owned(),
        1 => "1 difference".to_owned(),
        count => format!("{count} differences"),
    };
    format!(
        "{bodies}{} objects, {} objects of the backups: {verdict}.{waiting}\n",
        found.objects, found.backups
    )
}
