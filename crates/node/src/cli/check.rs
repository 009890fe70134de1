//! `postrider check`

use std::process::ExitCode;

use super::output::Output;
use crate::client::Client;

/// Prints every contradiction in the metadata; exit code 1 if there is one.
pub(super) async fn run(client: &Client, output: Output) -> anyhow::Result<ExitCode> {
    let problems: Vec<String> = client.get("check").await?;
    if output.json {
        output.json(&problems)?;
    } else if problems.is_empty() {
        output.print("no contradictions\n")?;
    } else {
        output.print(&format!("{}\n", problems.join("\n")))?;
    }
    Ok(if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
