//! `postrider cluster join`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::super::output::Output;
use super::super::serve::refuse;
use crate::{cluster, logs};

/// Make this machine a new node of a cluster that runs
///
/// The token comes from `postrider cluster init` or `postrider cluster token` on another node. The
/// settings need a section [cluster] with the address at which the others reach this node; the data
/// folder must be empty. Bodies must lie in the same bucket or folder for all nodes. May be run
/// again after an interruption.
///
/// Example: postrider cluster join --config /etc/postrider/postrider.toml postrider-join-...
#[derive(Args)]
pub(in crate::cli) struct Join {
    /// The settings file
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/postrider/postrider.toml"
    )]
    config: PathBuf,
    /// The join token: one word
    token: postrider_rpc::Token,
}

#[derive(Serialize)]
struct Answer<'a> {
    cluster: &'a str,
    node: u64,
    address: &'a str,
    authority: PathBuf,
}

impl Join {
    pub(super) async fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let settings = match super::load(&self.config) {
            Ok(settings) => settings,
            Err(problems) => return Ok(refuse(&problems)),
        };
        logs::start_quiet(&settings.log)?;
        let identity = cluster::join(&settings, &self.token).await?;
        let facts = &identity.facts;
        if output.json {
            output.json(&Answer {
                cluster: &facts.cluster,
                node: facts.node.0,
                address: &facts.address,
                authority: cluster::authority_file(&settings.data_dir),
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        output.print(&format!(
            "This is node {node} of the cluster now.\n\n\
             1. Start it:\n     postrider serve --config {config}\n\
             2. See how the cluster is:\n     postrider cluster status --dir {dir}\n",
            node = facts.node,
            config = self.config.display(),
            dir = settings.data_dir.display(),
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
