//! `postrider cluster join`

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use postrider_rpc::Token;
use postrider_types::Versions;
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
    /// The join token: one word, or - to read it from standard input
    // As text: a message about an argument that cannot be parsed would show it.
    token: String,
}

/// The longest input that is looked at for a token, in bytes.
const LONGEST: u64 = 16 << 10;

/// The token from the command line or from `input`. No error shows it.
fn token(argument: &str, input: impl Read) -> anyhow::Result<Token> {
    if argument != "-" {
        return Ok(argument.parse()?);
    }
    let mut text = String::new();
    input
        .take(LONGEST)
        .read_to_string(&mut text)
        .context("cannot read the join token from standard input")?;
    Ok(text.parse()?)
}

#[derive(Serialize)]
struct Answer<'a> {
    cluster: &'a str,
    node: u64,
    address: &'a str,
    authority: PathBuf,
}

impl Join {
    pub(super) async fn run(self, versions: Versions, output: Output) -> anyhow::Result<ExitCode> {
        let settings = match super::load(&self.config, versions) {
            Ok(settings) => settings,
            Err(problems) => return Ok(refuse(&problems)),
        };
        logs::start_quiet(&settings.log)?;
        let token = token(&self.token, std::io::stdin())?;
        let identity = cluster::join(&settings, &token).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_from_either_place_and_is_in_no_error() {
        let authority = postrider_rpc::Authority::new(&"ab".repeat(16)).unwrap();
        let good = authority.token([7; 16], vec!["one.test:7425".into()]);
        let word = good.to_string();
        assert!(token(&word, std::io::empty()).unwrap() == good);
        let line = format!("{word}\n");
        assert!(token("-", line.as_bytes()).unwrap() == good);
        let damaged = &word[..word.len() - 1];
        for (argument, input) in [(damaged, ""), ("-", damaged), ("-", "")] {
            let error = token(argument, input.as_bytes()).unwrap_err();
            let shown = format!("{error:#} {error:?}");
            assert!(!shown.contains(&word[20..40]), "{shown}");
        }
    }
}
