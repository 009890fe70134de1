//! `postrider status`

use std::process::ExitCode;

use super::output::Output;
use super::words;
use crate::client::Client;
use crate::health::Report;

/// Shows the node's state; exit code 1 unless it is ready.
pub(super) async fn run(client: &Client, output: Output) -> anyhow::Result<ExitCode> {
    let report: Report = client.get("status").await?;
    if output.json {
        output.json(&report)?;
    } else {
        let mut text = format!("{}\n", report.status);
        for reason in &report.reasons {
            text.push_str(&format!("  {reason}\n"));
        }
        text.push_str(&format!(
            "release {}{}, up for {} s, {} of bodies wait to be packed\n",
            report.version,
            words::cluster_version(report.cluster_version),
            report.uptime_seconds,
            postrider_types::human::format_size(report.inline_bytes),
        ));
        if let Some(queue) = &report.queue {
            text.push_str(&format!("{}\n", words::queue(queue, words::now())));
        }
        output.print(&text)?;
    }
    Ok(if report.ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
