//! A witness among the voters: it keeps the others safe, knows what they know, and
//! does not stay leader.

// The lint's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use postrider_meta::{Authority, Client, NewNode, command};
use postrider_meta_raft::Settings;
use postrider_rpc::{Failure, Tls};
use postrider_types::{AccountId, Clock as _, NodeId, Role, SystemClock};
use support::cluster::{Member, Network, free_address, leader, same_state};
use support::{account, client, count, message, uid, until};

/// The secret of the join token, hashed.
const TOKEN: [u8; 32] = [7; 32];
/// Where the witness is among the members.
const WITNESS: usize = 2;

fn row(address: &str, role: Role) -> NewNode {
    NewNode {
        name: "node".into(),
        address: address.into(),
        roles: vec![role],
        version: "1".into(),
        versions: postrider_types::Versions::PROGRAM,
    }
}

/// The time after which a leader that is not heard of is replaced.
const SOON: Duration = Duration::from_millis(300);
/// The same where none is to be replaced, however busy the machine is.
const NEVER: Duration = Duration::from_secs(10);

/// Two voters and a witness, as the rows of a cluster have them.
async fn two_and_a_witness(network: &Network, election_timeout: Duration) -> Vec<Member> {
    let (home, settings) = Member::home(1, free_address().await, &Tls::Off, network);
    let settings = Settings {
        election_timeout,
        ..settings
    };
    let first = Member::start(home, settings).await;
    let meta = client(first.node.clone());
    let found = command::FoundCluster {
        id: "00c0ffee".repeat(4),
        authority: Authority {
            certificate: "-----BEGIN CERTIFICATE-----\n".into(),
            key: "-----BEGIN PRIVATE KEY-----\n".into(),
        },
        node: row(&first.address(), Role::Meta),
        node_id: NodeId(1),
    };
    meta.run(found).await.unwrap().0.unwrap();
    let issue = command::IssueToken {
        hash: TOKEN,
        expires: SystemClock.now().after(Duration::from_secs(600)),
        uses: 2,
    };
    meta.run(issue).await.unwrap().0.unwrap();
    let seed = first.address();
    let mut members = vec![first];
    for (id, role) in [(2, Role::Meta), (3, Role::Witness)] {
        let (home, settings) = Member::home(id, free_address().await, &Tls::Off, network);
        let add = command::AddNode {
            token: TOKEN,
            node: row(&settings.address, role),
        };
        let admission = meta.run(add).await.unwrap().0.unwrap();
        assert_eq!(admission.node, NodeId(id));
        let witness = role == Role::Witness;
        let member = Member::start(
            home,
            Settings {
                witness,
                election_timeout,
                ..settings
            },
        )
        .await;
        member.node.join(std::slice::from_ref(&seed)).await.unwrap();
        members.push(member);
    }
    until("all know who is a witness", async || {
        let knows = |member: &Member| {
            let known = member.node.members().members;
            known.iter().filter(|m| m.witness).map(|m| m.node).eq([3])
        };
        members.iter().all(knows)
    })
    .await;
    members
}

/// Delivers `messages` more; their UIDs go to `uids`.
async fn deliver(meta: &Client, account: AccountId, uids: &mut Vec<u32>, messages: usize) {
    for _ in 0..messages {
        let (accepted, _) = meta.run(message(account, 2000)).await.unwrap();
        uids.push(uid(&accepted.unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_may_be_killed_and_the_witness_does_not_lead() {
    let mut members = two_and_a_witness(&Network::default(), SOON).await;
    let alice = account(&client(members[0].node.clone())).await;
    let mut uids = Vec::new();
    for place in [0, 1, WITNESS, 0, 1] {
        let (home, settings) = members.remove(place).kill();
        let survivor = members
            .iter()
            .find(|member| !member.settings.witness)
            .unwrap();
        deliver(&client(survivor.node.clone()), alice, &mut uids, 20).await;
        let led = leader(&members).await;
        assert!(!members[led].settings.witness, "the witness leads");
        members.insert(place, Member::start(home, settings).await);
        same_state(&members).await;
    }
    let expected: Vec<u32> = (1..=100).collect();
    assert_eq!(uids, expected);
    assert_eq!(count(&client(members[1].node.clone()), alice).await, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_holds_more_than_the_survivor_hands_over_all() {
    let network = Network::default();
    let mut members = two_and_a_witness(&network, SOON).await;
    let alice = account(&client(members[0].node.clone())).await;
    same_state(&members).await;
    let mut uids = Vec::new();
    for round in 0_u32..3 {
        let led = leader(&members).await;
        assert_ne!(led, WITNESS);
        let survivor = 1 - led;
        network.cut(&members[survivor]);
        // Acknowledged by the leader and the witness alone.
        deliver(&client(members[led].node.clone()), alice, &mut uids, 30).await;
        let last = members[led].node.health().committed;
        let lacks = members[survivor].node.health().last_log;
        assert!(lacks < last, "{lacks} of {last}");
        // Both are away before the other is back.
        network.cut(&members[led]);
        let (home, settings) = members.remove(led).kill();
        network.heal();
        until("the survivor leads", async || {
            let survivor = members.iter().find(|member| !member.settings.witness);
            survivor.unwrap().leads()
        })
        .await;
        let survivor = client(members[0].node.clone());
        assert_eq!(count(&survivor, alice).await, 30 * (round + 1) + round);
        deliver(&survivor, alice, &mut uids, 1).await;
        members.insert(led, Member::start(home, settings).await);
        same_state(&members).await;
    }
    let expected: Vec<u32> = (1..=93).collect();
    assert_eq!(uids, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lead_goes_to_no_witness_and_witnesses_alone_are_no_cluster() {
    let mut members = two_and_a_witness(&Network::default(), NEVER).await;
    let to = members[1].node.move_leader(Some(3)).await;
    assert!(
        matches!(&to, Err(Failure::Failed(text)) if text.contains("witness")),
        "{to:?}"
    );
    for _ in 0..3 {
        let led = leader(&members).await;
        // It gives away the lead of the one whom it knows.
        until("the witness knows who leads", async || {
            members[WITNESS].node.health().leader == Some(led as u64 + 1)
        })
        .await;
        let next = members[WITNESS].node.move_leader(None).await.unwrap();
        assert_eq!(next, 2 - led as u64);
        // In order: the leader that ends hands over to the other.
        until("it leads", async || leader(&members).await == 1 - led).await;
    }
    members[0].node.expel(2).await.unwrap();
    let last = members[WITNESS].node.expel(1).await;
    assert!(
        matches!(&last, Err(Failure::Failed(text)) if text.contains("only witnesses")),
        "{last:?}"
    );
    let gone = members.remove(1);
    gone.kill();
    let alice = account(&client(members[0].node.clone())).await;
    deliver(&client(members[0].node.clone()), alice, &mut Vec::new(), 5).await;
}
