//! `postrider check-config`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::output::Output;
use crate::settings;

/// Check a settings file, and the POSTRIDER__ variables in the environment, without starting
///
/// Prints what is wrong, with file and line where they are known. Exit code 0 if all is fine, else 2.
///
/// Example: postrider check-config --config /etc/postrider/postrider.toml
#[derive(Args)]
pub(super) struct CheckConfig {
    /// The settings file
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/postrider/postrider.toml"
    )]
    config: PathBuf,
}

impl CheckConfig {
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let problems = match settings::load(&self.config, settings::environment()) {
            Ok(settings) => settings.problems(),
            Err(error) => vec![error.to_string()],
        };
        if output.json {
            output.json(&problems)?;
        } else if problems.is_empty() {
            output.print(&format!("{} is fine\n", self.config.display()))?;
        } else {
            output.print(&format!("{}\n", problems.join("\n")))?;
        }
        Ok(if problems.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(2)
        })
    }
}
