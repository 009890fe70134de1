//! `postrider cluster remove`

use clap::Args;

use super::super::output::Output;
use crate::client::Client;

/// Remove a node from the cluster, for good
///
/// Ask another node than the one that goes. A node that still runs ends by itself; to bring its
/// machine back, empty its data folder and join it again. Refused where the cluster needs the node.
///
/// Example: postrider cluster remove 3
#[derive(Args)]
pub(in crate::cli) struct Remove {
    /// The node's number, as `postrider cluster status` shows it
    node: u64,
    /// Remove it even if nobody else serves mail, or if the others do not answer
    #[arg(long)]
    force: bool,
}

impl Remove {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let force = if self.force { "?force=true" } else { "" };
        let path = format!("cluster/nodes/{}{force}", self.node);
        client.delete(&path).await?;
        output.done(&format!(
            "removed node {}. See what is left with `postrider cluster status`",
            self.node
        ))
    }
}
