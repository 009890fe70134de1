//! The cluster: founding, joining, leaving, and jobs that one node does.

use std::time::Duration;

use postrider_types::{BodyId, Clock, CommandId, Millis, NodeId, Role, Versions};

use super::Fixture;
use crate::command as c;
use crate::query as q;
use crate::{Authority, Command, LeaseView, NewNode, NodeView, Refusal, limit};

pub(super) const HASH: [u8; 32] = [7; 32];
const HOUR: Duration = Duration::from_secs(3600);

fn id() -> String {
    "00c0ffee".repeat(4)
}

fn authority() -> Authority {
    Authority {
        certificate: "-----BEGIN CERTIFICATE-----\n".into(),
        key: "-----BEGIN PRIVATE KEY-----\n".into(),
    }
}

pub(super) fn new_node(name: &str) -> NewNode {
    NewNode {
        name: name.into(),
        address: format!("{name}.example.test:7425"),
        roles: vec![Role::Meta, Role::Frontend],
        version: "0.1.0".into(),
        versions: Versions::up_to(1),
    }
}

fn found_cluster() -> c::FoundCluster {
    c::FoundCluster {
        id: id(),
        authority: authority(),
        node: new_node("one"),
        node_id: NodeId(1),
    }
}

fn issue(f: &Fixture, hash: [u8; 32], uses: u32) -> c::IssueToken {
    c::IssueToken {
        hash,
        expires: f.clock.now().after(HOUR),
        uses,
    }
}

fn add(name: &str) -> c::AddNode {
    c::AddNode {
        token: HASH,
        node: new_node(name),
    }
}

/// A cluster of the first node, and a token for `uses` more.
pub(super) async fn found(f: &Fixture, uses: u32) {
    f.run(found_cluster()).await;
    f.run(issue(f, HASH, uses)).await;
}

async fn node(f: &Fixture, id: u64) -> NodeView {
    let nodes = f.ask(q::Nodes {}).await;
    let mut nodes = nodes.into_iter();
    nodes
        .find(|node| node.id == NodeId(id))
        .expect("it is known")
}

async fn may_join(f: &Fixture, id: CommandId) -> bool {
    f.ask(q::MayJoin { token: HASH, id }).await
}

fn command_id(f: &Fixture) -> CommandId {
    CommandId::new(f.clock.now(), &*f.random)
}

pub(super) async fn a_cluster_is_founded_once(f: &Fixture) {
    assert_eq!(f.ask(q::Cluster {}).await, None);
    assert_eq!(f.ask(q::Authority {}).await, None);
    assert_eq!(f.ask(q::Nodes {}).await, []);
    let refused = f.refused(issue(f, HASH, 1)).await;
    assert!(matches!(refused, Refusal::NotFound(_)), "{refused:?}");
    let refused = f.refused(add("two")).await;
    assert!(matches!(refused, Refusal::Invalid(_)), "{refused:?}");

    let good = found_cluster();
    let bad_node = |node| c::FoundCluster {
        node,
        ..found_cluster()
    };
    let at = |address: &str| {
        bad_node(NewNode {
            address: address.into(),
            ..new_node("one")
        })
    };
    let mut bad = vec![
        c::FoundCluster {
            id: "c0ffee".into(),
            ..good.clone()
        },
        c::FoundCluster {
            node_id: NodeId(0),
            ..good.clone()
        },
        c::FoundCluster {
            authority: Authority {
                key: "key".into(),
                ..authority()
            },
            ..good.clone()
        },
        bad_node(new_node("")),
        bad_node(new_node("line\nline")),
        bad_node(NewNode {
            roles: Vec::new(),
            ..new_node("one")
        }),
        bad_node(NewNode {
            roles: vec![Role::Frontend, Role::Witness],
            ..new_node("one")
        }),
    ];
    for address in ["one", "one:", ":1", "one:0", "one:65536", "::1:7425", ""] {
        bad.push(at(address));
    }
    for bad in bad {
        let refused = f.refused(bad.clone()).await;
        assert!(matches!(refused, Refusal::Invalid(_)), "{bad:?}");
    }

    f.run(good.clone()).await;
    let again = f.refused(good).await;
    assert!(matches!(again, Refusal::Exists(_)), "{again:?}");
    let cluster = f.ask(q::Cluster {}).await.expect("founded");
    assert_eq!(cluster.id, id());
    assert_eq!(cluster.certificate, authority().certificate);
    assert_eq!(f.ask(q::Authority {}).await, Some(authority()));
    let expected = NodeView {
        id: NodeId(1),
        name: "one".into(),
        address: "one.example.test:7425".into(),
        roles: vec![Role::Meta, Role::Frontend],
        version: "0.1.0".into(),
        joined: f.clock.now(),
        removed: None,
        replaced_by: None,
        versions: Versions::up_to(1),
        hold: None,
    };
    assert_eq!(f.ask(q::Nodes {}).await, [expected]);
}

pub(super) async fn a_node_joins_with_a_token(f: &Fixture) {
    found(f, 2).await;
    for (name, expected) in [("two", 2), ("three", 3)] {
        let admission = f.run(add(name)).await;
        assert_eq!(admission.node, NodeId(expected));
        assert_eq!(admission.cluster, id());
        assert_eq!(admission.authority, authority());
        assert_eq!(node(f, expected).await.name, name);
    }
    let used_up = f.refused(add("four")).await;
    assert!(
        matches!(&used_up, Refusal::Invalid(text) if text.contains("postrider cluster token")),
        "{used_up:?}"
    );

    // A node says what has changed about it.
    let announce = c::AnnounceNode {
        id: NodeId(2),
        address: "[2001:db8::2]:7000".into(),
        roles: vec![Role::Frontend],
        version: "0.2.0".into(),
        versions: Versions::up_to(2),
        hold: None,
    };
    f.run(announce.clone()).await;
    let two = node(f, 2).await;
    assert_eq!(two.address, announce.address);
    assert_eq!(two.roles, [Role::Frontend]);
    assert_eq!(two.version, "0.2.0");
    assert_eq!(two.name, "two");
    let unknown = c::AnnounceNode {
        id: NodeId(9),
        ..announce
    };
    let refused = f.refused(unknown).await;
    assert!(matches!(refused, Refusal::NotFound(_)), "{refused:?}");
}

pub(super) async fn a_join_that_is_sent_again_is_one_join(f: &Fixture) {
    found(f, 1).await;
    let id = command_id(f);
    assert!(may_join(f, id).await);
    for _ in 0..2 {
        let add = Command::AddNode(add("two"));
        let executed = f.backend.execute(id, add).await.expect("up");
        let told = format!("{:?}", executed.verdict.expect("a good token"));
        assert!(told.contains("NodeId(2)"), "{told}");
        assert!(!told.contains("PRIVATE"), "{told}");
        // Its token is used up, its verdict is not.
        assert!(may_join(f, id).await);
    }
    assert!(!may_join(f, command_id(f)).await);
    assert_eq!(f.ask(q::Nodes {}).await.len(), 2);
}

pub(super) async fn tokens_end_and_are_bounded(f: &Fixture) {
    found(f, 5).await;
    let again = f.refused(issue(f, HASH, 5)).await;
    assert!(matches!(again, Refusal::Exists(_)), "{again:?}");
    let now = f.clock.now();
    let too_late = now.after(limit::TOKEN_AGE + Duration::from_secs(1));
    for (expires, uses) in [
        (now, 1),
        (Millis(0), 1),
        (too_late, 1),
        (now.after(HOUR), 0),
        (now.after(HOUR), limit::TOKEN_USES + 1),
    ] {
        let hash = [1; 32];
        let bad = c::IssueToken {
            hash,
            expires,
            uses,
        };
        let refused = f.refused(bad).await;
        assert!(matches!(refused, Refusal::Invalid(_)), "{expires} {uses}");
    }
    for n in 1..limit::TOKENS {
        let n = u8::try_from(n).expect("few tokens");
        f.run(issue(f, [100 + n; 32], 1)).await;
    }
    let full = f.refused(issue(f, [1; 32], 1)).await;
    assert!(matches!(full, Refusal::Limit(_)), "{full:?}");

    f.clock.advance(HOUR);
    let ended = f.refused(add("two")).await;
    assert!(matches!(ended, Refusal::Invalid(_)), "{ended:?}");
    // Those whose time is up make room, also for one with the same secret.
    f.run(issue(f, HASH, 1)).await;
    f.run(add("two")).await;
}

pub(super) async fn a_node_that_comes_back_replaces_itself(f: &Fixture) {
    found(f, 5).await;
    f.run(add("two")).await;
    f.run(add("two")).await;
    assert_eq!(node(f, 2).await.replaced_by, Some(NodeId(3)));
    assert_eq!(f.run(add("two")).await.node, NodeId(4));
    for old in [2, 3] {
        assert_eq!(node(f, old).await.replaced_by, Some(NodeId(4)));
        f.run(c::RemoveNode { id: NodeId(old) }).await;
    }
    assert_eq!(node(f, 4).await.replaced_by, None);
    // Removed nodes are no longer looked at.
    f.run(add("two")).await;
    assert_eq!(node(f, 2).await.replaced_by, Some(NodeId(4)));
    assert_eq!(node(f, 1).await.replaced_by, None);
}

pub(super) async fn whose_replacement_goes_stays(f: &Fixture) {
    found(f, 5).await;
    f.run(add("two")).await;
    assert_eq!(f.run(add("two")).await.node, NodeId(3));
    f.run(c::RemoveNode { id: NodeId(3) }).await;
    assert_eq!(node(f, 2).await.replaced_by, None);
    // It counts again as one that holds metadata.
    f.run(c::RemoveNode { id: NodeId(1) }).await;
}

pub(super) async fn a_removed_node_stays_refused(f: &Fixture) {
    found(f, 5).await;
    let last = f.refused(c::RemoveNode { id: NodeId(1) }).await;
    assert!(matches!(last, Refusal::InUse(_)), "{last:?}");
    let unknown = f.refused(c::RemoveNode { id: NodeId(9) }).await;
    assert!(matches!(unknown, Refusal::NotFound(_)), "{unknown:?}");

    let frontend = c::AddNode {
        token: HASH,
        node: NewNode {
            roles: vec![Role::Frontend],
            ..new_node("two")
        },
    };
    f.run(frontend).await;
    let still_last = f.refused(c::RemoveNode { id: NodeId(1) }).await;
    assert!(matches!(still_last, Refusal::InUse(_)), "{still_last:?}");
    take(f, 2, &["job"]).await;
    take(f, 1, &["other"]).await;
    let removed_at = f.clock.now();
    f.run(c::RemoveNode { id: NodeId(2) }).await;
    f.clock.advance(HOUR);
    f.run(c::RemoveNode { id: NodeId(2) }).await;
    assert_eq!(node(f, 2).await.removed, Some(removed_at));
    let leases = f.ask(q::Leases {}).await;
    assert_eq!(holders(&leases), [("other", 1)]);

    let announce = c::AnnounceNode {
        id: NodeId(2),
        address: "two:1".into(),
        roles: vec![Role::Frontend],
        version: "1".into(),
        versions: Versions::up_to(1),
        hold: None,
    };
    let refused = f.refused(announce).await;
    assert!(matches!(refused, Refusal::NotFound(_)), "{refused:?}");
    for holder in [2, 9] {
        let refused = f.refused(take_leases(holder, &["job"])).await;
        assert!(matches!(refused, Refusal::NotFound(_)), "{refused:?}");
    }
    // Its id is never given out again.
    f.run(issue(f, [8; 32], 1)).await;
    let three = c::AddNode {
        token: [8; 32],
        node: new_node("three"),
    };
    assert_eq!(f.run(three).await.node, NodeId(3));
    f.run(c::RemoveNode { id: NodeId(1) }).await;
}

pub(super) async fn a_lease_of_a_clock_that_was_ahead_ends(f: &Fixture) {
    let days = Duration::from_secs(30 * 24 * 3600);
    f.clock.advance(days);
    take(f, 1, &["a"]).await;
    f.clock.turn_back(days);
    assert_eq!(holders(&take(f, 2, &["a"]).await), [("a", 1)]);
    f.clock.advance(limit::LEASE_TTL);
    assert_eq!(holders(&take(f, 2, &["a"]).await), [("a", 2)]);
}

fn take_leases(holder: u64, names: &[&str]) -> c::TakeLeases {
    c::TakeLeases {
        holder: NodeId(holder),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ttl: Duration::from_secs(15),
    }
}

async fn take(f: &Fixture, holder: u64, names: &[&str]) -> Vec<LeaseView> {
    f.run(take_leases(holder, names)).await
}

fn holders(leases: &[LeaseView]) -> Vec<(&str, u64)> {
    let holder = |lease: &LeaseView| lease.holder.0;
    leases.iter().map(|l| (&*l.name, holder(l))).collect()
}

pub(super) async fn a_lease_has_one_holder(f: &Fixture) {
    // Also on a node that stands alone, under whatever id it has.
    let taken = take(f, 1, &["a", "b", "a"]).await;
    assert_eq!(holders(&taken), [("a", 1), ("b", 1)]);
    let until = f.clock.now().after(Duration::from_secs(15));
    assert_eq!(taken[0].until, until);
    let taken = take(f, 2, &["b", "c"]).await;
    assert_eq!(holders(&taken), [("b", 1), ("c", 2)]);
    assert_eq!(taken[0].until, until);

    // The holder prolongs what it has.
    f.clock.advance(Duration::from_secs(10));
    let taken = take(f, 1, &["a", "c"]).await;
    assert_eq!(holders(&taken), [("a", 1), ("c", 2)]);
    assert!(taken[0].until > until);
    // What has run out is anybody's.
    f.clock.advance(Duration::from_secs(5));
    let taken = take(f, 3, &["a", "b", "c"]).await;
    assert_eq!(holders(&taken), [("a", 1), ("b", 3), ("c", 3)]);

    // One gives back its own alone.
    let names = ["a", "b", "nothing"].map(str::to_owned).to_vec();
    let holder = NodeId(3);
    f.run(c::ReleaseLeases { holder, names }).await;
    let leases = f.ask(q::Leases {}).await;
    assert_eq!(holders(&leases), [("a", 1), ("c", 3)]);
    let taken = take(f, 2, &["b"]).await;
    assert_eq!(holders(&taken), [("b", 2)]);
}

pub(super) async fn leases_are_bounded(f: &Fixture) {
    for bad in [
        take_leases(1, &[""]),
        take_leases(1, &[&"x".repeat(limit::LEASE_NAME + 1)]),
        c::TakeLeases {
            ttl: Duration::ZERO,
            ..take_leases(1, &["a"])
        },
        c::TakeLeases {
            ttl: limit::LEASE_TTL + Duration::from_millis(1),
            ..take_leases(1, &["a"])
        },
    ] {
        let refused = f.refused(bad).await;
        assert!(matches!(refused, Refusal::Invalid(_)), "{refused:?}");
    }
    let names: Vec<String> = (0..=limit::LEASES).map(|n| n.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let too_many = f.refused(take_leases(1, &names)).await;
    assert!(matches!(too_many, Refusal::Limit(_)), "{too_many:?}");
    take(f, 1, &names[1..]).await;
    let full = f.refused(take_leases(2, &names[..1])).await;
    assert!(matches!(full, Refusal::Limit(_)), "{full:?}");
    // What has run out makes room.
    f.clock.advance(Duration::from_secs(15));
    take(f, 2, &names[..1]).await;
}

pub(super) async fn what_has_ended_is_trimmed(f: &Fixture) {
    found(f, 1).await;
    take(f, 1, &["short"]).await;
    let long = c::TakeLeases {
        ttl: limit::LEASE_TTL,
        ..take_leases(1, &["long"])
    };
    f.run(long).await;
    f.clock.advance(Duration::from_secs(60));
    let trim = |f: &Fixture| c::Trim {
        dedup_before: CommandId::floor(f.clock.now()),
        history_before: BodyId::floor(f.clock.now()),
    };
    f.run(trim(f)).await;
    assert_eq!(holders(&f.ask(q::Leases {}).await), [("long", 1)]);
    assert!(may_join(f, command_id(f)).await);
    f.clock.advance(HOUR);
    f.run(trim(f)).await;
    assert_eq!(f.ask(q::Leases {}).await, []);
    assert!(!may_join(f, command_id(f)).await);
    assert_eq!(f.ask(q::Nodes {}).await.len(), 1);
}

pub(super) async fn restored_metadata_are_another_clusters(f: &Fixture) {
    let refound = |id: String| c::RefoundCluster {
        id,
        authority: authority(),
        node: new_node("new"),
        store: "5a".repeat(16),
    };
    let other = "0badcafe".repeat(4);
    let refused = f.refused(refound(other.clone())).await;
    assert!(matches!(refused, Refusal::NotFound(_)), "{refused:?}");
    found(f, 2).await;
    f.run(add("two")).await;
    f.run(c::TakeLeases {
        holder: NodeId(2),
        names: vec!["background".into()],
        ttl: Duration::from_secs(15),
    })
    .await;
    let refused = f.refused(refound(id())).await;
    assert!(matches!(refused, Refusal::Exists(_)), "{refused:?}");
    let mut bad = refound(other.clone());
    bad.store = "mail".into();
    assert!(matches!(f.refused(bad).await, Refusal::Invalid(_)));

    // An id that no node of before has had.
    assert_eq!(f.run(refound(other.clone())).await, NodeId(3));
    let view = f.ask(q::Cluster {}).await.expect("a cluster");
    assert_eq!(view.id, other);
    assert_eq!(f.ask(q::StoreId {}).await, Some("5a".repeat(16)));
    for (id, present) in [(1, false), (2, false), (3, true)] {
        assert_eq!(node(f, id).await.removed.is_none(), present, "{id}");
    }
    assert_eq!(f.ask(q::Leases {}).await, []);
    // The old token lets nobody in.
    let refused = f.refused(add("three")).await;
    assert!(matches!(refused, Refusal::Invalid(_)), "{refused:?}");
}
