//! What an administrator reads, case by case.

use super::*;
use crate::cluster::report::Report;

/// `count` healthy nodes that do everything.
fn nodes(count: u64) -> Vec<Node> {
    let node = |id| Node {
        node: id,
        name: format!("mail{id}"),
        address: format!("mail{id}:7425"),
        roles: Role::FULL.to_vec(),
        version: "0.1.0".into(),
        knows: 1,
        voter: true,
        lag: Some(0),
        report: Some(Report {
            node: id,
            ready: true,
            bucket_readable: true,
            bucket_writable: true,
            ..Report::default()
        }),
        unreachable: None,
    };
    (1..=count).map(node).collect()
}

fn silence(node: &mut Node) {
    node.report = None;
    node.lag = None;
    node.unreachable = Some("connection refused".into());
}

fn report(node: &mut Node) -> &mut Report {
    node.report.as_mut().unwrap()
}

#[test]
fn three_that_are_well_can_lose_one_and_five_two() {
    for (count, verdict) in [
        (3, "Safe: any one node may fail."),
        (4, "Safe: any one node may fail."),
        (5, "Safe: any two nodes may fail."),
        (7, "Safe: any 3 nodes may fail."),
    ] {
        let judgement = judge(&nodes(count), Some(1), None);
        assert_eq!(judgement.verdict, verdict);
        assert!(judgement.safe && judgement.notes.is_empty());
    }
}

#[test]
fn one_or_two_cannot_lose_any() {
    let one = judge(&nodes(1), Some(1), None);
    assert!(!one.safe);
    assert_eq!(
        one.verdict,
        "NOT safe: if one more node fails, nothing can be stored, because node 1 alone holds the \
         metadata: join 2 more nodes (`postrider cluster token` gives the token for it)"
    );
    let two = judge(&nodes(2), Some(1), None);
    assert!(!two.safe);
    assert_eq!(
        two.verdict,
        "NOT safe: if one more node fails, nothing can be stored, because the two nodes with \
         metadata (1 and 2) need each other: join one more node (`postrider cluster token` gives \
         the token for it)"
    );
}

#[test]
fn of_three_with_one_away_none_may_fail() {
    let mut nodes = nodes(3);
    silence(&mut nodes[2]);
    let judgement = judge(&nodes, Some(1), None);
    assert!(!judgement.safe && judgement.notes.is_empty());
    assert_eq!(
        judgement.verdict,
        "NOT safe: if one more node fails, nothing can be stored, because node 3 (mail3:7425) \
         does not answer: start it, or remove it with `postrider cluster remove 3` and join another"
    );
}

#[test]
fn of_five_with_one_away_one_may_still_fail() {
    let mut nodes = nodes(5);
    silence(&mut nodes[4]);
    let judgement = judge(&nodes, Some(1), None);
    assert!(judgement.safe);
    assert_eq!(judgement.verdict, "Safe: any one node may fail.");
    assert_eq!(judgement.notes.len(), 1);
    assert!(judgement.notes[0].starts_with("node 5 (mail5:7425) does not answer: start it"));
    silence(&mut nodes[3]);
    let judgement = judge(&nodes, Some(1), None);
    assert!(!judgement.safe);
    assert!(
        judgement.verdict.contains("node 4 (mail4:7425)")
            && judgement.verdict.contains("; and because node 5"),
        "{}",
        judgement.verdict
    );
}

#[test]
fn without_a_leader_nothing_is_safe() {
    let mut nodes = nodes(3);
    let electing = judge(&nodes, None, None);
    assert!(!electing.safe && electing.verdict.contains("look again"));
    silence(&mut nodes[0]);
    silence(&mut nodes[1]);
    let judgement = judge(&nodes, None, None);
    assert!(!judgement.safe);
    assert!(
        judgement
            .verdict
            .contains("1 of 3 votes are fit, 2 are needed"),
        "{}",
        judgement.verdict
    );
}

#[test]
fn a_voter_far_behind_does_not_count() {
    let mut nodes = nodes(3);
    nodes[1].lag = Some(900);
    assert!(judge(&nodes, Some(1), None).safe);
    nodes[1].lag = Some(12_000);
    let judgement = judge(&nodes, Some(1), None);
    assert!(!judgement.safe);
    assert!(
        judgement.verdict.ends_with(
            "because node 2 (mail2:7425) is 12000 entries behind: wait until it has caught up"
        ),
        "{}",
        judgement.verdict
    );
}

#[test]
fn a_voter_with_an_old_copy_does_not_count() {
    let mut nodes = nodes(3);
    let old = report(&mut nodes[1]);
    (old.ready, old.lacks_confirmed, old.applied) = (false, true, Some(7));
    let judgement = judge(&nodes, Some(1), None);
    assert!(!judgement.safe);
    assert!(
        judgement.verdict.ends_with(
            "because node 2 (mail2:7425) lacks entries that it had confirmed (its data folder is \
             an old copy, or its disk has lost them): stop it and run `postrider cluster rejoin` \
             there"
        ),
        "{}",
        judgement.verdict
    );
}

#[test]
fn a_node_that_catches_up_is_waited_for() {
    let mut nodes = nodes(3);
    nodes[2].voter = false;
    nodes[2].lag = Some(40);
    let judgement = judge(&nodes, Some(1), None);
    assert!(!judgement.safe && judgement.notes.is_empty());
    assert!(
        judgement.verdict.ends_with(
            "need each other, and node 3 (mail3:7425) is still catching up (40 entries behind) and \
             has no vote yet: wait for it"
        ),
        "{}",
        judgement.verdict
    );
    // A fourth that catches up takes nothing from the other three.
    let mut nodes = self::nodes(4);
    nodes[3].voter = false;
    let judgement = judge(&nodes, Some(1), None);
    assert!(judgement.safe);
    assert!(judgement.notes[0].contains("node 4 (mail4:7425) is still catching up"));
}

#[test]
fn a_bucket_that_is_away_everywhere_is_not_safe_and_at_one_node_a_note() {
    let mut nodes = nodes(3);
    report(&mut nodes[0]).bucket_writable = false;
    let judgement = judge(&nodes, Some(1), None);
    assert!(judgement.safe);
    assert_eq!(
        judgement.notes,
        [
            "node 1 (mail1:7425) cannot write to the object store: check the bucket or folder in \
             [blob], and the network to it"
        ]
    );
    for node in &mut nodes {
        report(node).bucket_readable = false;
    }
    let judgement = judge(&nodes, Some(1), None);
    assert!(!judgement.safe);
    assert!(
        judgement.verdict.contains("nobody can reach all mail now")
            && judgement
                .verdict
                .contains("node 3 (mail3:7425) cannot read the object store"),
        "{}",
        judgement.verdict
    );
}

#[test]
fn one_frontend_alone_may_not_fail() {
    let mut nodes = nodes(4);
    for node in &mut nodes[..3] {
        node.roles = vec![Role::Meta];
    }
    nodes[3].roles = vec![Role::Frontend];
    nodes[3].voter = false;
    nodes[3].lag = None;
    let judgement = judge(&nodes, Some(1), None);
    assert!(!judgement.safe);
    assert!(
        judgement.verdict.ends_with(
            "because only node 4 serves mail: join another node with the role \"frontend\""
        ),
        "{}",
        judgement.verdict
    );
    // Of two frontends one is away.
    let mut second = nodes[3].clone();
    second.node = 5;
    second.address = "mail5:7425".into();
    nodes.push(second);
    assert!(judge(&nodes, Some(1), None).safe);
    silence(&mut nodes[4]);
    let judgement = judge(&nodes, Some(1), None);
    assert!(!judgement.safe);
    assert!(
        judgement
            .verdict
            .contains("because node 5 (mail5:7425) does not answer")
    );
}

#[test]
fn a_node_that_is_not_ready_says_why() {
    let mut nodes = nodes(3);
    let report = report(&mut nodes[2]);
    report.ready = false;
    report.stopping = true;
    report.reasons = vec!["the node is stopping".into()];
    let judgement = judge(&nodes, Some(1), None);
    assert!(
        judgement.verdict.ends_with(
            "node 3 (mail3:7425) is not ready (the node is stopping): wait until it is back"
        ),
        "{}",
        judgement.verdict
    );
}

#[test]
fn a_majority_that_is_lost_is_told_as_lost() {
    let mut nodes = nodes(3);
    silence(&mut nodes[0]);
    silence(&mut nodes[1]);
    let left = report(&mut nodes[2]);
    left.ready = false;
    left.applied = Some(9);
    left.reasons = vec!["the metadata store does not answer: no leader".into()];
    // The leader has not yet noticed, or nobody leads any more.
    for (leader, begins) in [
        (Some(3), "NOT safe: nothing can be stored now, because "),
        (
            None,
            "NOT safe: no node leads, so nothing can be stored now (1 of 3 ",
        ),
    ] {
        let verdict = judge(&nodes, leader, None).verdict;
        assert!(verdict.starts_with(begins), "{verdict}");
        // Node 3 is well: it lacks the others.
        assert!(!verdict.contains("node 3 (mail3:7425)"), "{verdict}");
    }
}

#[test]
fn different_versions_are_noted() {
    let mut nodes = nodes(3);
    nodes[1].version = "0.2.0".into();
    let judgement = judge(&nodes, Some(1), None);
    assert!(judgement.safe);
    assert_eq!(
        judgement.notes,
        ["the nodes run different versions (0.1.0, 0.2.0): finish the upgrade"]
    );
}

#[test]
fn clocks_that_differ_are_told() {
    let mut nodes = nodes(3);
    for (node, clock) in nodes.iter_mut().zip([1_000_000, 1_002_000, 1_061_000]) {
        report(node).clock = clock;
    }
    let judgement = judge(&nodes, Some(1), None);
    assert!(judgement.safe);
    assert!(
        judgement.notes[0].contains("differ by 61 s"),
        "{:?}",
        judgement.notes
    );
}

fn third(problem: Option<&str>) -> Vote {
    let told = crate::cluster::report::Third {
        wanted: true,
        problem: problem.map(ToOwned::to_owned),
        ..Default::default()
    };
    Vote { votes: true, told }
}

#[test]
fn two_and_a_vote_in_the_bucket_can_lose_one() {
    let two = judge(&nodes(2), Some(1), Some(&third(None)));
    assert!(two.safe, "{}", two.verdict);
    assert_eq!(
        two.verdict,
        "Safe: any one may fail, of the nodes and the bucket with the third vote."
    );
    let mut one = nodes(2);
    silence(&mut one[1]);
    let one = judge(&one, Some(1), Some(&third(None)));
    assert!(!one.safe);
    assert!(
        one.verdict.contains("node 2 (mail2:7425) does not answer"),
        "{}",
        one.verdict
    );
    let away = judge(&nodes(2), Some(1), Some(&third(Some("it is away"))));
    assert!(!away.safe);
    assert!(
        away.verdict.contains("the bucket cannot vote (it is away)"),
        "{}",
        away.verdict
    );
    let not_yet = Vote {
        votes: false,
        ..third(None)
    };
    let not_yet = judge(&nodes(2), Some(1), Some(&not_yet));
    assert!(!not_yet.safe);
    assert!(
        not_yet.verdict.contains("no vote yet"),
        "{}",
        not_yet.verdict
    );
}

#[test]
fn a_witness_counts_as_a_voter_and_as_nothing_else() {
    let mut nodes = nodes(3);
    nodes[2].roles = vec![Role::Witness];
    report(&mut nodes[2]).bucket_readable = false;
    let judgement = judge(&nodes, Some(1), None);
    assert!(judgement.safe, "{}", judgement.verdict);
    assert_eq!(judgement.verdict, "Safe: any one node may fail.");
    // Without it the two need each other.
    let mut without = nodes.clone();
    silence(&mut without[2]);
    assert!(!judge(&without, Some(1), None).safe);
    // Of the others one is left: it alone can lead and serve.
    nodes[1].roles = vec![Role::Witness];
    let judgement = judge(&nodes, Some(1), None);
    assert!(!judgement.safe);
    assert_eq!(
        judgement.verdict,
        "NOT safe: if one more node fails, nothing can be stored, because node 1 alone holds \
         metadata and serves: join another node with the role \"meta\" (`postrider cluster \
         token` gives the token for it)"
    );
}
