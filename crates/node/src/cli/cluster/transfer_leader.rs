//! `postrider cluster transfer-leader`

use clap::Args;
use hyper::Method;

use super::super::output::Output;
use crate::admin::api;
use crate::client::Client;

/// Let another node lead
///
/// The leader is the node that all writing goes through. Before its machine is worked on, moving
/// the lead saves clients the second that its loss would cost. A node that is stopped well does it
/// by itself.
///
/// Example: postrider cluster transfer-leader 2
#[derive(Args)]
pub(in crate::cli) struct TransferLeader {
    /// The node that shall lead [default: the one that keeps up best]
    node: Option<u64>,
}

impl TransferLeader {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        let to = api::MoveLeader { node: self.node };
        let moved: api::Leader = client.exchange(Method::POST, "cluster/leader", &to).await?;
        match output.json {
            true => output.json(&moved),
            false => output.print(&format!("node {} leads now\n", moved.leader)),
        }
    }
}
