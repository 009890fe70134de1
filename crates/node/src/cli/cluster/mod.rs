//! `postrider cluster ...`: one file per command. `init`, `join` and `rejoin` work on the
//! data folder of a node that does not run; the others ask a node that does.

mod init;
mod join;
mod rejoin;
mod remove;
mod replace;
mod status;
mod token;
mod transfer_leader;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use postrider_types::Versions;

use super::output::Output;
use crate::client::Client;
use crate::settings::{self, Settings};

/// Several nodes that serve the same mail
#[derive(Subcommand)]
pub(super) enum Cluster {
    Init(init::Init),
    Join(join::Join),
    Rejoin(rejoin::Rejoin),
    Token(token::Token),
    Status(status::Status),
    Remove(remove::Remove),
    Replace(replace::Replace),
    TransferLeader(transfer_leader::TransferLeader),
}

impl Cluster {
    pub(super) async fn run(
        self,
        client: impl FnOnce() -> anyhow::Result<Client>,
        versions: Versions,
        output: Output,
    ) -> anyhow::Result<ExitCode> {
        match self {
            Self::Init(command) => return command.run(versions, output).await,
            Self::Join(command) => return command.run(versions, output).await,
            Self::Rejoin(command) => return command.run(versions, output).await,
            Self::Status(command) => {
                let told = async { command.run(&client()?, output).await };
                return Ok(super::answered(told.await, output));
            }
            Self::Token(command) => command.run(&client()?, output).await?,
            Self::Remove(command) => command.run(&client()?, output).await?,
            Self::Replace(command) => command.run(&client()?, output).await?,
            Self::TransferLeader(command) => command.run(&client()?, output).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The settings in `file` for a program of `versions`, which must be usable; what is wrong with them otherwise.
fn load(file: &Path, versions: Versions) -> Result<Settings, String> {
    let mut settings = settings::load(file, settings::environment()).map_err(|e| e.to_string())?;
    settings.meta.versions = versions;
    let problems = settings.problems();
    match problems.is_empty() {
        true => Ok(settings),
        false => Err(problems.join("\n")),
    }
}
