//! The cluster's version: who may join, and when it is raised.

use postrider_types::{NodeId, Role, Version, Versions};

use super::Fixture;
use super::cluster::{HASH, found, new_node};
use crate::command as c;
use crate::query as q;
use crate::{NewNode, Refusal};

fn add(versions: Versions) -> c::AddNode {
    c::AddNode {
        token: HASH,
        node: NewNode {
            versions,
            ..new_node("two")
        },
    }
}

fn announce(id: u64, newest: u32, hold: Option<u32>) -> c::AnnounceNode {
    c::AnnounceNode {
        id: NodeId(id),
        address: format!("node{id}.example.test:7425"),
        roles: vec![Role::Meta],
        version: format!("0.{newest}.0"),
        versions: Versions::up_to(newest),
        hold: hold.map(Version),
    }
}

fn raise(to: u32) -> c::RaiseVersion {
    c::RaiseVersion { to: Version(to) }
}

async fn version(f: &Fixture) -> u32 {
    f.ask(q::ClusterVersion {}).await.0
}

async fn blocked(f: &Fixture, to: u32, words: &[&str]) {
    let before = version(f).await;
    let refused = f.refused(raise(to)).await;
    let text = refused.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert_eq!(version(f).await, before);
}

pub(super) async fn a_node_alone_raises_its_version(f: &Fixture) {
    assert_eq!(version(f).await, 0);
    // What the first one is, its founder decides.
    f.run(raise(3)).await;
    f.run(raise(3)).await;
    f.run(raise(2)).await;
    assert_eq!(version(f).await, 3);
    blocked(f, 5, &["3", "one at a time"]).await;
    f.run(raise(4)).await;
    assert_eq!(version(f).await, 4);
}

pub(super) async fn a_version_is_raised_when_every_node_knows_it(f: &Fixture) {
    found(f, 5).await;
    f.run(raise(1)).await;
    f.run(add(Versions::up_to(1))).await;
    f.run(announce(1, 2, None)).await;
    blocked(f, 2, &["node 2 runs 0.1.0", "versions 1 to 1"]).await;
    f.run(announce(2, 2, Some(1))).await;
    blocked(f, 2, &["node 2 holds it at 1", "meta.hold_version"]).await;
    f.run(announce(2, 2, Some(2))).await;
    f.run(raise(2)).await;
    assert_eq!(version(f).await, 2);
    let nodes = f.ask(q::Nodes {}).await;
    assert!(nodes.iter().all(|n| n.versions == Versions::up_to(2)));
    assert_eq!(nodes[1].hold, Some(Version(2)));
    // To hold back what was raised already comes too late and does no harm.
    f.run(announce(2, 3, Some(1))).await;
    f.run(announce(1, 3, None)).await;
    blocked(f, 3, &["node 2 holds it at 1"]).await;
}

pub(super) async fn a_program_of_another_version_is_refused(f: &Fixture) {
    found(f, 5).await;
    f.run(announce(1, 2, None)).await;
    f.run(raise(2)).await;
    for (newest, why) in [(1, "too old"), (4, "too new")] {
        let refused = f.refused(add(Versions::up_to(newest))).await;
        assert!(
            matches!(&refused, Refusal::Invalid(text) if text.contains(why)),
            "{refused:?}"
        );
    }
    // Neither has used the token up.
    f.run(add(Versions::up_to(3))).await;
    for (newest, why) in [(1, "too old"), (4, "too new")] {
        let refused = f.refused(announce(2, newest, None)).await;
        assert!(refused.to_string().contains(why), "{refused:?}");
    }
    // A removed node has no say.
    f.run(announce(1, 3, None)).await;
    f.run(announce(2, 2, None)).await;
    blocked(f, 3, &["node 2"]).await;
    f.run(c::RemoveNode { id: NodeId(2) }).await;
    f.run(raise(3)).await;
    assert_eq!(version(f).await, 3);
}
