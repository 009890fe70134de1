//! `postrider cluster rejoin`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use postrider_types::Versions;
use serde::Serialize;

use super::super::output::Output;
use super::super::serve::refuse;
use crate::{cluster, logs};

/// Make a node new whose metadata are damaged or lost
///
/// On the node itself, stopped. It sets its metadata and its identity aside, gets a new number and
/// takes its own place; the metadata come from the others. Refused unless a majority of the nodes
/// with metadata answers without it. No token is needed. May be run again after an interruption.
///
/// Example: postrider cluster rejoin --config /etc/postrider/postrider.toml
#[derive(Args)]
pub(in crate::cli) struct Rejoin {
    /// The settings file
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/postrider/postrider.toml"
    )]
    config: PathBuf,
}

#[derive(Serialize)]
struct Answer<'a> {
    cluster: &'a str,
    node: u64,
}

impl Rejoin {
    pub(super) async fn run(self, versions: Versions, output: Output) -> anyhow::Result<ExitCode> {
        let settings = match super::load(&self.config, versions) {
            Ok(settings) => settings,
            Err(problems) => return Ok(refuse(&problems)),
        };
        logs::start_quiet(&settings.log)?;
        let identity = cluster::rejoin(&settings).await?;
        let facts = &identity.facts;
        if output.json {
            output.json(&Answer {
                cluster: &facts.cluster,
                node: facts.node.0,
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        output.print(&format!(
            "This is node {node} of the cluster now.\n\n\
             1. Start it:\n     postrider serve --config {config}\n\
             2. See how the cluster is:\n     postrider cluster status --dir {dir}\n\
             3. Once it is safe, remove what was set aside:\n     \
             {dir}/set-aside-* and {metadata}/set-aside-*\n",
            node = facts.node,
            config = self.config.display(),
            dir = settings.data_dir.display(),
            metadata = settings.metadata().dir.display(),
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
