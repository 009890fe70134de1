//! Limits against abuse hold for the cluster and not for each node.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use postrider_tests::{Cluster, Imap, Plan, Wire};

use crate::{ALICE, BOB, PASSWORD, SOON, start, until};

const FAILURES: usize = 5;
const CONNECTIONS: u32 = 6;

/// A client of its own for each part of the test.
fn client(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 7, number))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_and_connections_are_counted_over_all_nodes() -> anyhow::Result<()> {
    let mut turn = start(Plan {
        settings: "[auth]\nmax_failures_per_address = 5\nmax_failures_per_account = 0\n\
                   failure_delay = \"0s\"\n",
        connections_per_address: CONNECTIONS,
        ..Plan::default()
    })
    .await?;
    let cluster = &mut turn.cluster;
    failed_logins_count_everywhere(cluster).await?;
    connections_add_up(cluster).await?;
    turn.cluster.finish().await
}

/// Logs in from `source`; the answer's status.
async fn login(
    at: SocketAddr,
    source: IpAddr,
    user: &str,
    password: &str,
) -> anyhow::Result<String> {
    let mut imap = Imap::greeted(Wire::connect_from(source, at).await?).await?;
    Ok(imap.run(&format!("LOGIN {user} {password}")).await?.status)
}

async fn failed_logins_count_everywhere(cluster: &Cluster) -> anyhow::Result<()> {
    let at = |place: usize| cluster.node(place).addresses().imap;
    for attempt in 0..FAILURES {
        let status = login(at(attempt % 2), client(1), ALICE, "wrong").await?;
        assert!(status.starts_with("NO"), "{status}");
    }
    // The third node has seen no failure of its own; it refuses the right password.
    until("node 3 refuses the guesser", SOON, async || {
        let status = login(at(2), client(1), ALICE, PASSWORD).await?;
        Ok(status.starts_with("NO").then_some(()))
    })
    .await?;
    // Others are not affected.
    let status = login(at(2), client(2), BOB, PASSWORD).await?;
    assert!(status.starts_with("OK"), "{status}");
    Ok(())
}

/// Opens a session from `source`, if it is let in.
async fn open(at: SocketAddr, source: IpAddr) -> Option<Imap> {
    Imap::greeted(Wire::connect_from(source, at).await.ok()?)
        .await
        .ok()
}

async fn connections_add_up(cluster: &mut Cluster) -> anyhow::Result<()> {
    let imap = |place: usize| cluster.node(place).addresses().imap;
    let mut held = Vec::new();
    for number in 0..CONNECTIONS {
        let session = open(imap(number as usize % 2), client(3)).await;
        held.push(session.unwrap());
    }
    until("node 3 refuses one connection more", SOON, async || {
        Ok(open(imap(2), client(3)).await.is_none().then_some(()))
    })
    .await?;
    assert!(open(imap(2), client(4)).await.is_some(), "others come in");
    drop(held);
    until("node 3 lets the client in again", SOON, async || {
        Ok(open(imap(2), client(3)).await.map(drop))
    })
    .await?;

    // What a dead node's clients held is theirs no more.
    let follower = cluster.follower().await?;
    let other = (follower + 1) % 3;
    let (dying, living) = (
        cluster.node(follower).addresses().imap,
        cluster.node(other).addresses().imap,
    );
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(open(dying, client(5)).await.unwrap());
    }
    until("the other node refuses", SOON, async || {
        Ok(open(living, client(5)).await.is_none().then_some(()))
    })
    .await?;
    cluster.node_mut(follower).kill().await?;
    until("the other node forgets", SOON, async || {
        Ok(open(living, client(5)).await.map(drop))
    })
    .await?;
    cluster.node_mut(follower).start_again().await
}
