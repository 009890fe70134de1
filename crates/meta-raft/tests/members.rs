//! The members of a cluster change: join, leave, come back with another disk or
//! at another address, lead and hand over.

// The lint's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use postrider_blob::Store;
use postrider_meta::command::{AddNode, AnnounceNode, FoundCluster, IssueToken, RemoveNode};
use postrider_meta::{Authority, Client, NewNode};
use postrider_meta_raft::{Archive, Leader, Settings};
use postrider_rpc::proto::raft_client::RaftClient;
use postrider_rpc::tonic::Request;
use postrider_rpc::{Channels, Failure, Timeouts, Tls, proto};
use postrider_types::{AccountId, Clock, NodeId, Role, SystemClock, Versions};
use support::cluster::{Member, Network, free_address, leader, same_state, three};
use support::{account, client, count, message, uid, until};
use tempfile::TempDir;

async fn deliver(meta: &Client, account: AccountId, count: u32, size: usize) {
    for _ in 0..count {
        let (accepted, _) = meta.run(message(account, size)).await.unwrap();
        uid(&accepted.unwrap());
    }
}

fn voters(member: &Member) -> Vec<u64> {
    member.node.health().voters
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_disk_at_an_old_address_is_another_member() {
    let network = Network::default();
    let mut members = three(&Tls::Off, &network).await;
    let leading = leader(&members).await;
    let meta = client(members[leading].node.clone());
    let alice = account(&meta).await;
    deliver(&meta, alice, 5, 100).await;
    // While the old one lives, nobody takes its address.
    let victim = members.remove((leading + 1) % 3);
    let old = victim.settings.node_id;
    let address = victim.address();
    let refused = members[0].node.admit(4, &address).await;
    assert!(
        matches!(&refused, Err(Failure::Failed(text)) if text.contains("alive")),
        "{refused:?}"
    );
    drop(victim.kill());
    let new = Member::at(4, address, &Tls::Off, &network, None).await;
    // What the leader sends to the old one reaches the new one, which is not it:
    // nothing is taken for the old one's answer, nothing gets into its log.
    let before = silence(&members, old).await;
    deliver(&meta, alice, 5, 100).await;
    until("the old one stays silent", async || {
        silence(&members, old).await > before + 500
    })
    .await;
    assert_eq!((new.node.health().last_log, new.node.health().term), (0, 0));
    new.node.join(&[members[0].address()]).await.unwrap();
    // Again: it is done already.
    new.node.join(&[members[0].address()]).await.unwrap();
    members.push(new);
    same_state(&members).await;
    for member in &members {
        assert!(!voters(member).contains(&old) && voters(member).contains(&4));
        assert_eq!(member.node.members().members.len(), 3);
    }
    assert_eq!(count(&client(members[2].node.clone()), alice).await, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_disk_was_put_back_gets_nothing_and_ends_nobody() {
    let network = Network::default();
    let mut members = patient(&network).await;
    let leading = leader(&members).await;
    let meta = client(members[leading].node.clone());
    let alice = account(&meta).await;
    same_state(&members).await;
    let place = (leading + 1) % 3;
    let (home, settings) = members.remove(place).stop().await;
    let old = TempDir::new().unwrap();
    copy(&settings.dir, old.path());
    members.insert(place, Member::start(home, settings).await);
    deliver(&meta, alice, 5, 100).await;
    same_state(&members).await;

    // What it acknowledged last no heartbeat may have heard of.
    deliver(&meta, alice, 1, 100).await;
    let last = members[leading].node.health().last_log;
    until("it has acknowledged it", async || {
        let known = members[leading].node.members().members;
        known.iter().all(|member| member.matched == Some(last))
    })
    .await;
    let (home, settings) = members.remove(place).stop().await;
    std::fs::remove_dir_all(&settings.dir).unwrap();
    copy(old.path(), &settings.dir);
    let back = Member::start(home, settings).await;
    until("it is told", async || back.node.health().lacks_confirmed).await;
    let before = back.node.health().last_log;
    members.insert(place, back);
    deliver(&meta, alice, 3, 100).await;
    let told = members[leading].node.health();
    assert!(told.leads && told.failure.is_none() && !told.lacks_confirmed);
    let told = members[place].node.health();
    assert!(told.lacks_confirmed && told.last_log == before);
    let third = members[(leading + 2) % 3].node.health();
    assert!(!third.lacks_confirmed);
}

/// Copies the files of a folder.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let to = to.join(item.file_name());
        match item.file_type().unwrap().is_dir() {
            true => copy(&item.path(), &to),
            false => drop(std::fs::copy(item.path(), to).unwrap()),
        }
    }
}

/// How long the leader has not heard of a node, in milliseconds.
async fn silence(members: &[Member], id: u64) -> u64 {
    let known = members[leader(members).await].node.members();
    let member = known.members.into_iter().find(|member| member.node == id);
    member.unwrap().silent_ms.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_moves_and_members_leave() {
    let network = Network::default();
    let mut members = three(&Tls::Off, &network).await;
    let leading = leader(&members).await;
    let alice = account(&client(members[leading].node.clone())).await;
    let (first, next) = (&members[leading], &members[(leading + 1) % 3]);
    let to = next.settings.node_id;
    // Asked of any of them.
    let third = &members[(leading + 2) % 3];
    assert_eq!(third.node.move_leader(Some(to)).await.unwrap(), to);
    until("it leads", async || next.leads()).await;
    let refused = third.node.move_leader(Some(9)).await.unwrap_err();
    assert!(refused.to_string().contains("no voter"), "{refused}");
    // The leader itself leaves, at its own request.
    next.node.expel(to).await.unwrap();
    next.node.expel(to).await.unwrap();
    until("two are left", async || {
        voters(first).len() == 2 && voters(third).len() == 2
    })
    .await;
    members.retain(|member| member.settings.node_id != to);
    let meta = client(members[0].node.clone());
    deliver(&meta, alice, 3, 100).await;
    same_state(&members).await;
    // One of two dies: the other one is needed, and says why it cannot go on.
    let victim = members.remove(1);
    let gone = victim.settings.node_id;
    let stays = members[0].settings.node_id;
    until("the survivor leads", async || {
        members[0].leads() || members[0].node.move_leader(Some(stays)).await.is_ok()
    })
    .await;
    drop(victim.kill());
    until("it is missed", async || {
        silence(&members, gone).await > 1000
    })
    .await;
    let refused = members[0].node.expel(stays).await.unwrap_err();
    assert!(refused.to_string().contains("is needed"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_leader_takes_no_dead_voter_for_one_that_answers() {
    let mut members = three(&Tls::Off, &Network::default()).await;
    let leading = leader(&members).await;
    drop(members.remove((leading + 1) % 3).kill());
    let leading = leader(&members).await;
    let (old, new) = (&members[leading], &members[1 - leading]);
    let (gone, to) = (old.settings.node_id, new.settings.node_id);
    assert_eq!(old.node.move_leader(Some(to)).await.unwrap(), to);
    // The dead one had no time to answer the new leader. It is no majority.
    let refused = new.node.expel(gone).await.unwrap_err();
    assert!(refused.to_string().contains("is needed"), "{refused}");
    assert_eq!(voters(new).len(), 3);
}

fn row(address: &str, roles: &[Role]) -> NewNode {
    NewNode {
        name: "it".into(),
        address: address.into(),
        roles: roles.to_vec(),
        version: "1".into(),
        versions: Versions::PROGRAM,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_is_known_to_hold_metadata_gets_a_vote() {
    let (tls, network) = (Tls::Off, Network::default());
    let first = Member::new(1, &tls, &network, None).await;
    let meta = client(first.node.clone());
    let found = FoundCluster {
        id: "00c0ffee".repeat(4),
        authority: Authority {
            certificate: "-----BEGIN CERTIFICATE-----\n".into(),
            key: "-----BEGIN PRIVATE KEY-----\n".into(),
        },
        node: row(&first.address(), &[Role::Meta]),
        node_id: NodeId(1),
    };
    meta.run(found).await.unwrap().0.unwrap();
    let token = [7; 32];
    let issue = IssueToken {
        hash: token,
        expires: SystemClock.now().after(Duration::from_secs(3600)),
        uses: 2,
    };
    meta.run(issue).await.unwrap().0.unwrap();
    let unknown = first.node.admit(2, "127.0.0.1:1").await.unwrap_err();
    assert!(unknown.to_string().contains("knows no node 2"), "{unknown}");

    let second = Member::new(2, &tls, &network, None).await;
    let add = AddNode {
        token,
        node: row(&second.address(), &[Role::Frontend]),
    };
    meta.run(add).await.unwrap().0.unwrap();
    let seeds = [first.address()];
    let refused = second.node.join(&seeds).await.unwrap_err();
    assert!(refused.to_string().contains("role meta"), "{refused}");
    assert_eq!(voters(&first), [1]);
    let announce = AnnounceNode {
        id: NodeId(2),
        address: second.address(),
        roles: vec![Role::Meta],
        version: "1".into(),
        versions: Versions::PROGRAM,
        hold: None,
    };
    meta.run(announce).await.unwrap().0.unwrap();
    second.node.join(&seeds).await.unwrap();
    until("two vote", async || voters(&first) == [1, 2]).await;

    second.node.expel(2).await.unwrap();
    let remove = RemoveNode { id: NodeId(2) };
    meta.run(remove).await.unwrap().0.unwrap();
    assert_eq!(second.node.join(&seeds).await, Err(Failure::Removed));
    until("one votes", async || voters(&first) == [1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leadership_moves_once_when_it_is_asked_to() {
    let members = patient(&Network::default()).await;
    for round in 0..12 {
        let leading = leader(&members).await;
        let before = members[leading].node.health();
        // Asked of a node that does not lead: it may see that the leadership has
        // moved before it is told.
        let asked = &members[(leading + 1 + round % 2) % 3].node;
        until("it knows the leader", async || {
            let known = asked.leader();
            let known = known.borrow();
            matches!(&*known, Leader::Other { node, .. } if *node == before.node)
        })
        .await;
        let to = asked.move_leader(None).await.unwrap();
        assert_ne!(to, before.node);
        // The one before may not have heard of it yet.
        until("it leads, and no other", async || {
            let mut all = members.iter();
            all.all(|it| it.leads() == (it.settings.node_id == to))
        })
        .await;
        let term = members.iter().map(|member| member.node.health().term).max();
        assert_eq!(term, Some(before.term + 1), "round {round}");
    }
}

/// Three voters that stand for no election by themselves, however slow the machine.
async fn patient(network: &Network) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for id in 1..=3 {
        let (home, settings) = Member::home(id, free_address().await, &Tls::Off, network);
        let settings = Settings {
            election_timeout: Duration::from_secs(10),
            ..settings
        };
        let member = Member::start(home, settings).await;
        if let Some(first) = members.first() {
            member.node.join(&[first.address()]).await.unwrap();
        }
        members.push(member);
    }
    members
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_alone_gets_its_address_and_then_members() {
    let network = Network::default();
    let alone = Member::at(1, String::new(), &Tls::Off, &network, None).await;
    let meta = client(alone.node.clone());
    let alice = account(&meta).await;
    deliver(&meta, alice, 3, 100).await;
    drop(meta);
    let (home, settings) = alone.stop().await;
    let address = free_address().await;
    let first = Member::start(
        home,
        Settings {
            address,
            ..settings
        },
    )
    .await;
    let second = Member::new(2, &Tls::Off, &network, None).await;
    until("its address is known", async || {
        first.node.members().members[0].address == first.address()
    })
    .await;
    second.node.join(&[first.address()]).await.unwrap();
    let members = [first, second];
    same_state(&members).await;
    assert_eq!(count(&client(members[1].node.clone()), alice).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_moved_is_found_again() {
    let network = Network::default();
    let mut members = three(&Tls::Off, &network).await;
    let leading = leader(&members).await;
    let meta = client(members[leading].node.clone());
    let alice = account(&meta).await;
    let (home, settings) = members.remove((leading + 1) % 3).stop().await;
    let address = free_address().await;
    deliver(&meta, alice, 3, 100).await;
    members.push(
        Member::start(
            home,
            Settings {
                address,
                ..settings
            },
        )
        .await,
    );
    same_state(&members).await;
    let moved = members[2].address();
    until("all know it", async || {
        members.iter().all(|member| {
            let known = member.node.members().members;
            known.iter().any(|member| member.address == moved)
        })
    })
    .await;
    assert_eq!(count(&client(members[2].node.clone()), alice).await, 3);
}

fn archive(dir: &TempDir, cluster: &str) -> Archive {
    let settings = postrider_blob::Settings {
        folder: Some(dir.path().to_owned()),
        ..postrider_blob::Settings::default()
    };
    Archive::new(Store::open(&settings).unwrap(), cluster)
}

async fn written(member: &Member) {
    let before = member.node.health().snapshot;
    member.node.snapshot().await.unwrap();
    until("a snapshot", async || {
        member.node.health().snapshot > before
    })
    .await;
}

fn objects(dir: &TempDir) -> Vec<std::path::PathBuf> {
    let folder = std::fs::read_dir(dir.path().join("snapshots/one")).unwrap();
    let files = folder.map(|item| item.unwrap().path());
    files.filter(|path| path.extension().is_some()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_go_through_the_archive() {
    let bucket = TempDir::new().unwrap();
    let network = Network::default();
    let tls = Tls::Off;
    let first = Member::new(1, &tls, &network, Some(archive(&bucket, "one"))).await;
    let meta = client(first.node.clone());
    let alice = account(&meta).await;
    assert!(!first.node.archive().await.unwrap());
    for _ in 0..3 {
        deliver(&meta, alice, 20, 5000).await;
        written(&first).await;
        assert!(first.node.archive().await.unwrap());
        assert!(!first.node.archive().await.unwrap());
    }
    assert_eq!(objects(&bucket).len(), 3);
    deliver(&meta, alice, 3, 10).await;

    // A new node begins with what is archived, before it has heard of anybody.
    let second = Member::new(2, &tls, &network, Some(archive(&bucket, "one"))).await;
    assert_eq!(
        second.node.health().applied,
        first.node.health().snapshot.unwrap()
    );
    // One of another cluster does not.
    let other = Member::new(9, &tls, &network, Some(archive(&bucket, "two"))).await;
    assert_eq!(other.node.health().applied, 0);
    drop(other);
    second.node.join(&[first.address()]).await.unwrap();

    // One without the object store is sent the snapshot itself.
    let third = Member::new(3, &tls, &network, None).await;
    third.node.join(&[first.address()]).await.unwrap();
    let mut members = vec![first, second, third];
    same_state(&members).await;
    assert_eq!(count(&client(members[2].node.clone()), alice).await, 63);

    // One that lags is told of the object; what it holds is enough.
    let (home, settings) = members.pop().unwrap().stop().await;
    let leading = leader(&members).await;
    let meta = client(members[leading].node.clone());
    deliver(&meta, alice, 20, 5000).await;
    written(&members[leading]).await;
    members[leading].node.archive().await.unwrap();
    let archived = Member::start(home.with(archive(&bucket, "one")), settings).await;
    assert!(archived.node.health().applied >= members[leading].node.health().snapshot.unwrap());
    members.push(archived);
    same_state(&members).await;
    // Damaged ones are of no use, and do no harm.
    for object in objects(&bucket) {
        let mut bytes = std::fs::read(&object).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&object, bytes).unwrap();
    }
    let fourth = Member::new(4, &tls, &network, Some(archive(&bucket, "one"))).await;
    assert_eq!(fourth.node.health().applied, 0);
    fourth
        .node
        .join(&[members[leading].address()])
        .await
        .unwrap();
    members.push(fourth);
    same_state(&members).await;
    let fourth = client(members[3].node.clone());
    assert_eq!(count(&fourth, alice).await, 83);
    tokio::time::timeout(Duration::from_secs(10), deliver(&fourth, alice, 1, 10))
        .await
        .unwrap();
}

/// Tells `member` of a snapshot in the object store, as the leader of `term` does.
async fn tell(member: &Member, leader: u64, term: u64, object: &str) -> Result<(), Failure> {
    let channels = Channels::new(Tls::Off, Timeouts::default());
    let mut client = RaftClient::new(channels.get(&member.address()).unwrap());
    let head = proto::SnapshotHead {
        vote: Some(proto::VoteState {
            term,
            node: leader,
            committed: true,
        }),
        length: 0,
        object: object.to_owned(),
    };
    let part = proto::SnapshotPart {
        head: Some(head),
        ..proto::SnapshotPart::default()
    };
    let mut request = Request::new(futures::stream::iter([part]));
    let metadata = request.metadata_mut();
    metadata.insert("postrider-node", member.settings.node_id.into());
    client.snapshot(request).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_member_that_lags_fetches_the_snapshot_it_is_told_of() {
    let bucket = TempDir::new().unwrap();
    let (tls, network) = (Tls::Off, Network::default());
    let mut members: Vec<Member> = Vec::new();
    for id in 1..=3 {
        let archive = archive(&bucket, "one");
        members.push(Member::new(id, &tls, &network, Some(archive)).await);
        if id > 1 {
            let first = members[0].address();
            members[id as usize - 1].node.join(&[first]).await.unwrap();
        }
    }
    let leading = leader(&members).await;
    let meta = client(members[leading].node.clone());
    let alice = account(&meta).await;
    let lags = (leading + 1) % 3;
    until("it has the account", async || {
        members[lags].node.health().applied == members[leading].node.health().applied
    })
    .await;
    network.cut(&members[lags]);
    deliver(&meta, alice, 20, 5000).await;
    written(&members[leading]).await;
    assert!(members[leading].node.archive().await.unwrap());
    let reached = members[leading].node.health().snapshot.unwrap();
    assert!(members[lags].node.health().applied < reached);

    let health = members[leading].node.health();
    let object = objects(&bucket).pop().unwrap();
    let name = object.file_name().unwrap().to_str().unwrap();
    let tell = async |object: &str| tell(&members[lags], health.node, health.term, object).await;
    // One that is not there, and one of another cluster.
    for wrong in [
        name.replace(".snap", "0.snap"),
        format!("snapshots/two/{name}"),
    ] {
        assert!(tell(&wrong).await.is_err(), "{wrong}");
    }
    assert!(members[lags].node.health().applied < reached);
    tell(&format!("snapshots/one/{name}")).await.unwrap();
    until("it has the snapshot", async || {
        members[lags].node.health().applied >= reached
    })
    .await;
    // Nothing of what it received is left beside the snapshot.
    let drafts = std::fs::read_dir(members[lags].settings.dir.join("snapshots")).unwrap();
    assert_eq!(drafts.count(), 1);
    network.heal();
    deliver(&meta, alice, 1, 10).await;
    same_state(&members).await;
    assert_eq!(count(&client(members[lags].node.clone()), alice).await, 21);
}
