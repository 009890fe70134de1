//! `postrider cluster init`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use postrider_types::Versions;
use serde::Serialize;

use super::super::output::Output;
use super::super::serve::refuse;
use crate::{cluster, logs};

/// Make this node the first of a cluster; it must not be running
///
/// The settings need a section [cluster] with the address at which the other nodes will reach this
/// one. Works on an empty data folder and on that of a node that stood alone until now: its mail
/// stays. Prints a token with which two more nodes can join within an hour. May be run again after
/// an interruption.
///
/// Example: postrider cluster init --config /etc/postrider/postrider.toml
#[derive(Args)]
pub(in crate::cli) struct Init {
    /// The settings file
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/postrider/postrider.toml"
    )]
    config: PathBuf,
}

/// Nodes that the first token is for: three make a cluster that survives one.
const USES: u32 = 2;

#[derive(Serialize)]
struct Answer<'a> {
    cluster: &'a str,
    node: u64,
    address: &'a str,
    token: &'a str,
    authority: PathBuf,
}

impl Init {
    pub(super) async fn run(self, versions: Versions, output: Output) -> anyhow::Result<ExitCode> {
        let settings = match super::load(&self.config, versions) {
            Ok(settings) => settings,
            Err(problems) => return Ok(refuse(&problems)),
        };
        logs::start_quiet(&settings.log)?;
        let founded = cluster::init(&settings, cluster::TOKEN_AGE, USES).await?;
        let facts = &founded.identity.facts;
        let authority = cluster::authority_file(&settings.data_dir);
        if output.json {
            output.json(&Answer {
                cluster: &facts.cluster,
                node: facts.node.0,
                address: &facts.address,
                token: &founded.token,
                authority,
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        output.print(&format!(
            "This is node {node} of a new cluster.\n\n\
             1. Start it:\n     postrider serve --config {config}\n\
             2. On each of two other machines, with settings of their own:\n     \
                postrider cluster join --config FILE {token}\n     \
                postrider serve --config FILE\n\
             3. See how it is:\n     postrider cluster status --dir {dir}\n\n\
             The token lets two nodes in and is good for an hour; `postrider cluster token` gives \
             another.\nMail clients that shall trust the cluster's own certificates need {authority}.\n",
            node = facts.node,
            config = self.config.display(),
            token = founded.token,
            dir = settings.data_dir.display(),
            authority = authority.display(),
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
