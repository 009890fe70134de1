//! `postrider cluster replace`

use clap::Args;
use hyper::Method;

use super::super::output::Output;
use crate::admin::api;
use crate::client::Client;

/// Remove a node that is gone for good, and print a token for the one that takes its place
///
/// Ask another node than the one that is gone. The token is good for one node and one hour. A
/// machine that lost its disk alone needs no replacing: join it again under its old address.
///
/// Example: postrider cluster replace 3
#[derive(Args)]
pub(in crate::cli) struct Replace {
    /// The number of the node that is gone, as `postrider cluster status` shows it
    node: u64,
}

impl Replace {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        client
            .delete(&format!("cluster/nodes/{}", self.node))
            .await?;
        let add = api::AddToken {
            expires_seconds: None,
            uses: Some(1),
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
