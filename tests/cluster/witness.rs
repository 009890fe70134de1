//! Two nodes and a witness: a third vote on a small machine that serves nobody and
//! reaches no object store.

use anyhow::ensure;
use postrider_tests::{Plan, Roles, Wire};

use crate::faults::{accounts, compare};
use crate::fleet::Fleet;
use crate::start;

/// Where it stands.
const WITNESS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_and_a_witness_lose_any_one_of_them_under_load() -> anyhow::Result<()> {
    let mut turn = start(Plan {
        roles: &[Roles::Both, Roles::Both, Roles::Witness],
        ..Plan::default()
    })
    .await?;
    let cluster = &mut turn.cluster;
    accounts(cluster).await?;
    let configured = cluster.node(WITNESS).configured().clone();
    for address in [configured.smtp, configured.imap, configured.pop3] {
        ensure!(
            Wire::connect(address).await.is_err(),
            "the witness listens on {address}"
        );
    }
    let status = cluster.node(WITNESS).cli(&["cluster", "status"]).await?;
    ensure!(status.contains("Safe: any one node may fail."), "{status}");
    ensure!(status.contains("witness"), "{status}");
    let folder = cluster.node(WITNESS).dir().join("data");
    ensure!(!folder.join("blobs").exists() && !folder.join("none").exists());

    let (fleet, clients) = Fleet::launch(cluster);
    for place in [0, 1, WITNESS] {
        fleet.progress(20).await?;
        if place != WITNESS {
            fleet.fault(place);
        }
        cluster.node_mut(place).kill().await?;
        fleet.progress(40).await?;
        let led = cluster.leader().await?;
        ensure!(led != WITNESS, "the witness leads");
        cluster.node_mut(place).start_again().await?;
        cluster.until_settled().await?;
        if place != WITNESS {
            fleet.mend(place);
        }
    }
    fleet.land(clients).await?;
    let told = cluster.node(WITNESS).cluster().await?;
    let witness = &told["nodes"][WITNESS];
    ensure!(
        witness["report"]["leases"]
            .as_array()
            .is_some_and(Vec::is_empty),
        "{witness}"
    );
    compare(cluster, &fleet).await?;
    println!("{}; {}; {}", fleet.delivered, fleet.carried, fleet.drained);
    turn.cluster.finish().await
}
