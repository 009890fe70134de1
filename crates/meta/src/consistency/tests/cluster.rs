//! Damage to the rows of a cluster.

use super::*;
use crate::{Authority, NewNode};
use postrider_types::{NodeId, Role, Versions};

const HASH: [u8; 32] = [7; 32];

fn node(address: &str) -> NewNode {
    NewNode {
        name: "one".into(),
        address: address.into(),
        roles: vec![Role::Meta],
        version: "1".into(),
        versions: Versions::PROGRAM,
    }
}

/// A cluster of two nodes with a join token and a lease.
pub(super) async fn found(client: &Client, now: Millis) {
    let pem = "-----BEGIN TEST-----".to_owned();
    let authority = Authority {
        certificate: pem.clone(),
        key: pem,
    };
    let found = c::FoundCluster {
        id: "0a".repeat(16),
        authority,
        node: node("one:1"),
        node_id: NodeId(1),
    };
    run(client, found).await;
    let issue = c::IssueToken {
        hash: HASH,
        expires: Millis(now.0 + 1000),
        uses: 2,
    };
    run(client, issue).await;
    let add = c::AddNode {
        token: HASH,
        node: node("two:2"),
    };
    assert_eq!(run(client, add).await.node, NodeId(2));
    let to = Versions::PROGRAM.newest;
    run(client, c::RaiseVersion { to }).await;
    let take = c::TakeLeases {
        holder: NodeId(2),
        names: vec!["job".into()],
        ttl: std::time::Duration::from_secs(10),
    };
    run(client, take).await;
}

#[tokio::test]
async fn damage_to_the_cluster_is_found() {
    let whole = Whole::new().await;
    let w = &whole;
    w.misses(
        &["2 nodes and 1 join tokens, but no cluster"],
        key::cluster(),
    )
    .await;
    w.misses(&["lease job", "node 2"], key::node(NodeId(2)))
        .await;
    w.finds_edited(
        &["node 2", "not given out"],
        key::cluster(),
        |row: &mut row::Cluster| row.last_node = 1,
    )
    .await;
    for later in [1, 9] {
        w.finds_edited(
            &["node 1", "no later node"],
            key::node(NodeId(1)),
            |row: &mut row::Node| row.replaced_by = Some(later),
        )
        .await;
    }
    w.finds_edited(
        &["lease job", "not there"],
        key::node(NodeId(2)),
        |row: &mut row::Node| row.removed = Some(1),
    )
    .await;
    w.finds_edited(
        &["which is none"],
        key::version(),
        |row: &mut row::ClusterVersion| row.version = 0,
    )
    .await;
    for newest in [0, 9] {
        let range = Versions::up_to(newest);
        w.finds_edited(
            &["node 2", "does not know"],
            key::node(NodeId(2)),
            |row: &mut row::Node| {
                row.oldest = range.oldest.0;
                row.newest = range.newest.0;
            },
        )
        .await;
    }
    w.finds_edited(&["used up"], key::token(&HASH), |row: &mut row::Token| {
        row.uses = 0;
    })
    .await;
    let many = async |txn: &mut Damaged| {
        for n in 0..200 {
            let (expires, until) = (w.now.0, w.now.0);
            row::put(txn, key::token(&[n; 32]), &row::Token { expires, uses: 1 });
            let lease = row::Lease { holder: 1, until };
            row::put(txn, key::lease(&n.to_string()), &lease);
        }
    };
    w.finds(&["join tokens, more than"], many).await;
    w.finds(&["201 leases, more than"], many).await;
}
