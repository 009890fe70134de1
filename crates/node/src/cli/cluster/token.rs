//! `postrider cluster token`

use std::time::Duration;

use clap::Args;
use hyper::Method;
use postrider_types::human;

use super::super::output::Output;
use crate::admin::api;
use crate::client::Client;

/// Make a token with which another node can join
///
/// Prints one word, a secret: whoever has it can become a node and read all mail. It ends by
/// itself.
///
/// Example: postrider cluster token --uses 2 --expires 30m
#[derive(Args)]
pub(in crate::cli) struct Token {
    /// How long it is good, such as 30m or 2d; at most 30d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = human::parse_duration)]
    expires: Duration,
    /// How many nodes may join with it
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    uses: u32,
}

impl Token {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let add = api::AddToken {
            expires_seconds: Some(self.expires.as_secs()),
            uses: Some(self.uses),
        };
        let made: api::Token = client
            .exchange(Method::POST, "cluster/tokens", &add)
            .await?;
        match output.json {
            true => output.json(&made),
            // The word alone: scripts take it as it is.
            false => output.print(&format!("{}\n", made.token)),
        }
    }
}
