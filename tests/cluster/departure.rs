//! A node that was removed is refused and ends; its number is not given again.

use postrider_tests::{Plan, Roles};

use crate::{ALICE, count, deliver, message, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_ends_and_its_number_is_never_given_again() -> anyhow::Result<()> {
    let mut turn = start(Plan::default()).await?;
    let cluster = &mut turn.cluster;
    deliver(cluster.node(0).addresses(), ALICE, &message("before", "x")).await?;
    let mut highest = cluster
        .nodes()
        .map(|(_, member)| member.id())
        .max()
        .unwrap();

    // A follower that runs; then the leader itself; then one that was down.
    for how in ["follower", "leader", "dead"] {
        let place = match how {
            "leader" => cluster.leader().await?,
            _ => cluster.follower().await?,
        };
        if how == "dead" {
            cluster.node_mut(place).kill().await?;
        }
        cluster.remove(place).await?;
        if how != "dead" {
            let status = cluster.node_mut(place).ended().await?;
            assert!(!status.success(), "a removed {how} ended with {status}");
        }
        // Started again it is told so, and ends again.
        cluster.node_mut(place).spawn()?;
        let status = cluster.node_mut(place).ended().await?;
        assert!(!status.success(), "{how}: {status}");
        let log = cluster.node(place).log();
        assert!(log.contains("removed"), "{how}: {log}");

        let newcomer = cluster.join(Roles::Both).await?;
        let id = cluster.node(newcomer).id();
        assert!(id > highest, "{how}: {id} after {highest}");
        highest = id;
        cluster.until_settled().await?;
        let at = cluster.node(newcomer).addresses();
        assert_eq!(count(at, ALICE).await?, 1);
    }

    // A token is good for one node.
    let token = cluster.token().await?;
    cluster.join_with(Roles::Frontend, &token).await?;
    let refused = cluster.join_with(Roles::Frontend, &token).await;
    let refused = refused
        .expect_err("a used token lets nobody in")
        .to_string();
    assert!(refused.contains("token"), "{refused}");
    turn.cluster.finish().await
}
