//! One node on disk: what was acknowledged is there after every kind of end.

// The lint's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use postrider_meta::command::{Copy, Expunge};
use postrider_meta::query::{DeadObjects, Mailboxes, Messages};
use postrider_meta::testing::ManualClock;
use postrider_meta::{Client, Content, Detail, Meta, ReadAt, Refusal, Token, UidRanges};
use postrider_meta_raft::{Error, Node, Settings};
use postrider_types::{AccountId, BodyId, Clock, CommandId, MailboxId, ModSeq, SystemClock};
use support::{Dice, account, channels, client, count, message, settings, start, uid, until};
use tempfile::TempDir;

async fn consistent(node: &Arc<Node>) {
    let broken = node.check_consistency().await.unwrap();
    assert!(broken.is_empty(), "{broken:#?}");
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir.join("log"))
        .unwrap()
        .map(|item| item.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let node = start(settings(dir.path())).await;
    let meta = client(node.clone());
    let alice = account(&meta).await;
    for expected in 1..=20 {
        let (accepted, token) = meta.run(message(alice, 4000)).await.unwrap();
        assert_eq!(uid(&accepted.unwrap()), expected);
        assert!(token > Token(0));
    }
    let hash = node.state_hash().await.unwrap();
    consistent(&node).await;
    let health = node.health();
    assert!(health.leads && health.failure.is_none(), "{health:?}");
    node.shutdown().await.unwrap();
    drop((node, meta));
    for _ in 0..2 {
        let node = start(settings(dir.path())).await;
        let meta = client(node.clone());
        assert_eq!(count(&meta, alice).await, 20);
        assert_eq!(node.state_hash().await.unwrap().1, hash.1);
        node.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_sent_twice_is_executed_once() {
    let dir = TempDir::new().unwrap();
    let node = start(settings(dir.path())).await;
    let meta = client(node.clone());
    let alice = account(&meta).await;
    let id = CommandId::new(SystemClock.now(), &Dice);
    let accept = message(alice, 100);
    let first = node.execute(id, accept.clone().into()).await.unwrap();
    let again = node.execute(id, accept.into()).await.unwrap();
    assert_eq!(
        format!("{:?}", first.verdict),
        format!("{:?}", again.verdict)
    );
    // Twice at the same time, in one batch as it may be.
    let id = CommandId::new(SystemClock.now(), &Dice);
    let accept = message(alice, 100);
    let (one, two) = tokio::join!(
        node.execute(id, accept.clone().into()),
        node.execute(id, accept.into()),
    );
    let verdicts = [one, two].map(|executed| format!("{:?}", executed.unwrap().verdict));
    assert_eq!(verdicts[0], verdicts[1]);
    assert_eq!(count(&meta, alice).await, 2);
    consistent(&node).await;
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_its_callers_alone() {
    let dir = TempDir::new().unwrap();
    let node = start(settings(dir.path())).await;
    let meta = client(node.clone());
    let alice = account(&meta).await;
    let mut tasks = Vec::new();
    for number in 0..60 {
        let meta = meta.clone();
        let to = if number % 3 == 0 {
            AccountId(999)
        } else {
            alice
        };
        tasks.push(tokio::spawn(
            async move { meta.run(message(to, 500)).await },
        ));
    }
    let (mut delivered, mut refused) = (0, 0);
    for task in tasks {
        let (verdict, _) = task.await.unwrap().unwrap();
        match verdict.unwrap().deliveries.remove(0) {
            Ok(_) => delivered += 1,
            Err(Refusal::NotFound(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((delivered, refused), (40, 20));
    assert_eq!(count(&meta, alice).await, 40);
    consistent(&node).await;
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_is_rebuilt_from_snapshot_and_log() {
    let dir = TempDir::new().unwrap();
    let node = start(settings(dir.path())).await;
    let meta = client(node.clone());
    let alice = account(&meta).await;
    let before = segments(dir.path()).len();
    // Several times the size after which a snapshot is due, while writes go on.
    for _ in 0..20 {
        let batch = (0..20).map(|_| meta.run(message(alice, 20_000)));
        for accepted in futures::future::join_all(batch).await {
            accepted.unwrap().0.unwrap();
        }
    }
    until("a snapshot", async || node.health().snapshot.is_some()).await;
    node.snapshot().await.unwrap();
    meta.run(message(alice, 10)).await.unwrap().0.unwrap();
    until("old segments removed", async || {
        segments(dir.path())[0].file_stem().unwrap() != "0000000000000001"
    })
    .await;
    assert!(before > 0);
    let hash = node.state_hash().await.unwrap();
    node.shutdown().await.unwrap();
    drop((node, meta));
    // Gone, then damaged in every file.
    fs::remove_dir_all(dir.path().join("state")).unwrap();
    for round in 0..2 {
        let node = start(settings(dir.path())).await;
        let meta = client(node.clone());
        assert_eq!(count(&meta, alice).await, 401, "round {round}");
        assert_eq!(node.state_hash().await.unwrap().1, hash.1);
        consistent(&node).await;
        node.shutdown().await.unwrap();
        drop((node, meta));
        damage(&dir.path().join("state"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_is_damaged_while_it_runs_ends_the_node_and_is_rebuilt() {
    let dir = TempDir::new().unwrap();
    let node = start(settings(dir.path())).await;
    let meta = client(node.clone());
    let alice = account(&meta).await;
    // More than the engine keeps in memory.
    for _ in 0..20 {
        let batch = (0..20).map(|_| meta.run(message(alice, 20_000)));
        for accepted in futures::future::join_all(batch).await {
            accepted.unwrap().0.unwrap();
        }
    }
    let hash = node.state_hash().await.unwrap();
    assert_eq!(node.health().failure, None);
    damage(&dir.path().join("state"));
    assert!(node.state_hash().await.is_err());
    let failure = node.health().failure.unwrap();
    assert!(failure.contains("state engine"), "{failure}");
    // It may not be able to make the state durable.
    let _ = node.shutdown().await;
    drop((node, meta));
    let node = start(settings(dir.path())).await;
    assert_eq!(node.state_hash().await.unwrap().1, hash.1);
    consistent(&node).await;
    node.shutdown().await.unwrap();
}

/// Overwrites the middle of every file below `dir`.
fn damage(dir: &Path) {
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            damage(&path);
        } else {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            let end = bytes.len().min(middle + 64);
            bytes[middle..end].fill(0x5a);
            fs::write(&path, bytes).unwrap();
        }
    }
}

async fn refused(dir: &Path) -> String {
    let started = Node::start(settings(dir), Arc::new(SystemClock), channels(), None).await;
    match started {
        Err(error @ Error::Damaged { .. }) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a damaged log was accepted"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_lost_something_is_refused() {
    let dir = TempDir::new().unwrap();
    let node = start(settings(dir.path())).await;
    let meta = client(node.clone());
    let alice = account(&meta).await;
    for _ in 0..30 {
        meta.run(message(alice, 1000)).await.unwrap().0.unwrap();
    }
    node.shutdown().await.unwrap();
    drop((node, meta));
    // An older copy of the whole log, mark included: the state knows better.
    let old = TempDir::new().unwrap();
    let node = start(settings(old.path())).await;
    node.shutdown().await.unwrap();
    drop(node);
    let log = dir.path().join("log");
    let kept = dir.path().join("kept");
    fs::rename(&log, &kept).unwrap();
    let error = refused(dir.path()).await;
    assert!(error.contains("log is missing"), "{error}");
    fs::rename(old.path().join("log"), &log).unwrap();
    let error = refused(dir.path()).await;
    assert!(error.contains("its end is lost"), "{error}");
    fs::remove_dir_all(&log).unwrap();
    fs::rename(&kept, &log).unwrap();
    let node = start(settings(dir.path())).await;
    assert_eq!(count(&client(node.clone()), alice).await, 30);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_per_folder() {
    let dir = TempDir::new().unwrap();
    let node = start(settings(dir.path())).await;
    let second = Node::start(
        settings(dir.path()),
        Arc::new(SystemClock),
        channels(),
        None,
    )
    .await;
    let error = second.err().unwrap().to_string();
    assert!(error.contains("another process"), "{error}");
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_are_told_and_tokens_order_reads() {
    let dir = TempDir::new().unwrap();
    let node = start(settings(dir.path())).await;
    let meta = client(node.clone());
    let alice = account(&meta).await;
    let mut hints = meta.watch(alice);
    let (_, token) = meta.run(message(alice, 10)).await.unwrap();
    assert_eq!(hints.next().await, Some(()));
    let (_, seen) = meta
        .ask(
            Mailboxes {
                account: alice,
                after: None,
                limit: 10,
            },
            ReadAt::AtLeast(token),
        )
        .await
        .unwrap();
    assert!(seen >= token);
    node.shutdown().await.unwrap();
    let late = meta.run(message(alice, 10)).await.unwrap_err();
    assert!(late.to_string().contains("shutting down"), "{late}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_bounded_by_what_its_commands_write() {
    const MESSAGES: u32 = 100;
    let dir = TempDir::new().unwrap();
    let node = start(Settings {
        batch_bytes: 1 << 20,
        snapshot_bytes: 1 << 30,
        ..settings(dir.path())
    })
    .await;
    let meta = client(node.clone());
    let alice = account(&meta).await;
    let mut mailbox = MailboxId(0);
    for _ in 0..MESSAGES {
        let mut accept = message(alice, 10);
        accept.deliveries[0].prefix = "X-Long: yes\r\n".repeat(600).into();
        let accepted = meta.run(accept).await.unwrap().0.unwrap();
        mailbox = accepted.deliveries[0].as_ref().unwrap().mailbox;
    }
    // Each is small and writes 800 KB.
    let copies = (0..30).map(|_| {
        meta.run(Copy {
            account: alice,
            from: mailbox,
            uids: UidRanges(vec![1..=MESSAGES]),
            to: "INBOX".into(),
            remove: false,
        })
    });
    for copied in futures::future::join_all(copies).await {
        copied.unwrap().0.unwrap();
    }
    assert_eq!(count(&meta, alice).await, 31 * MESSAGES);
    // A batch that is longer than a segment has a segment of its own.
    for segment in segments(dir.path()) {
        let length = fs::metadata(&segment).unwrap().len();
        assert!(length < 5 << 19, "a batch of {length} bytes");
    }
    consistent(&node).await;
    node.shutdown().await.unwrap();
}

/// Set in the process that is killed, to its folder.
const VICTIM: &str = "POSTRIDER_VICTIM";

/// What the process does that is killed: accepts mail without end.
async fn be_killed(dir: &Path) {
    let node = start(settings(dir)).await;
    let meta = client(node.clone());
    let alice = AccountId(std::env::var("POSTRIDER_ACCOUNT").unwrap().parse().unwrap());
    let tasks = (0..8).map(|_| {
        let meta = meta.clone();
        tokio::spawn(async move {
            loop {
                let accept = message(alice, 3000);
                let id = accept.body.id;
                let (verdict, _) = meta.run(accept).await.unwrap();
                let line = format!("ACK {} {id}\n", uid(&verdict.unwrap()));
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        })
    });
    futures::future::join_all(tasks.collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_nothing() {
    // The process that is killed is this test once more.
    if let Some(dir) = std::env::var_os(VICTIM) {
        return be_killed(Path::new(&dir)).await;
    }
    let dir = TempDir::new().unwrap();
    let node = start(settings(dir.path())).await;
    let alice = account(&client(node.clone())).await;
    node.shutdown().await.unwrap();
    drop(node);
    let mut acknowledged: BTreeMap<u32, String> = BTreeMap::new();
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_process_loses_nothing", "--nocapture"])
            .env(VICTIM, dir.path())
            .env("POSTRIDER_ACCOUNT", alice.0.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = 40 + 37 * round;
        // Killed after some acknowledgements; what was in the pipe then counts too.
        while let Some(Ok(line)) = lines.next() {
            if let Some(at) = line.find("ACK ") {
                let mut words = line[at + 4..].split(' ');
                let (uid, id) = (words.next().unwrap(), words.next().unwrap());
                let before = acknowledged.insert(uid.parse().unwrap(), id.to_owned());
                assert_eq!(before, None, "UID {uid} was given twice");
                left -= 1;
                if left == 0 {
                    child.kill().unwrap();
                }
            }
        }
        assert!(left <= 0, "the process ended by itself");
        child.wait().unwrap();
    }
    let node = start(settings(dir.path())).await;
    let meta = client(node.clone());
    let found = bodies(&meta, alice).await;
    for (uid, id) in &acknowledged {
        assert_eq!(found.get(uid), Some(id), "message {uid}");
    }
    // At most those that were under way when it was killed come on top.
    assert!(found.len() <= acknowledged.len() + 8 * 8);
    consistent(&node).await;
    node.shutdown().await.unwrap();
}

/// The bodies of all messages by UID.
async fn bodies(meta: &postrider_meta::Client, account: AccountId) -> BTreeMap<u32, String> {
    let mailboxes = Mailboxes {
        account,
        after: None,
        limit: 100,
    };
    let (page, _) = meta.ask(mailboxes, ReadAt::Latest).await.unwrap();
    let inbox = page.items.iter().find(|mailbox| mailbox.name == "INBOX");
    let mut found = BTreeMap::new();
    let mut from = 1;
    loop {
        let messages = Messages {
            account,
            mailbox: inbox.unwrap().id,
            uids: UidRanges(vec![from..=u32::MAX]),
            detail: Detail::Row,
            changed_since: ModSeq(0),
            limit: 1000,
        };
        let (page, _) = meta.ask(messages, ReadAt::Latest).await.unwrap();
        found.extend(page.messages.iter().map(|m| (m.uid.0, m.body.to_string())));
        match page.next {
            Some(next) => from = next.0,
            None => return found,
        }
    }
}

/// A clock that is two months behind while a message is removed. The sweeper must not
/// take its body's object for one that no backup needs any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_seems_dead_for_long_for_a_clock_that_was_behind() {
    let days = |count: u64| Duration::from_secs(count * 24 * 3600);
    let dir = TempDir::new().unwrap();
    let clock = ManualClock::new();
    let node = Node::start(settings(dir.path()), clock.clone(), channels(), None);
    let node = node.await.unwrap();
    let meta = Client::new(node.clone(), clock.clone(), Arc::new(Dice));
    let alice = account(&meta).await;
    let mut accept = message(alice, 2000);
    accept.received = clock.now();
    accept.body.id = BodyId::new(clock.now(), &Dice);
    accept.body.content = Content::Object {
        key: "body/aa/0001".into(),
        length: 2000,
    };
    let accepted = meta.run(accept).await.unwrap().0.unwrap();
    clock.turn_back(days(60));
    let expunge = Expunge {
        account: alice,
        mailbox: accepted.deliveries[0].as_ref().unwrap().mailbox,
        uids: UidRanges(vec![uid(&accepted)..=uid(&accepted)]),
        only_deleted: false,
        limit: 10,
    };
    meta.run(expunge).await.unwrap().0.unwrap();
    clock.advance(days(60));
    let dead = async |before| {
        let dead = DeadObjects {
            before,
            after: None,
            limit: 10,
        };
        let (page, _) = meta.ask(dead, ReadAt::Latest).await.unwrap();
        page.items.len()
    };
    assert_eq!(dead(clock.now().before(days(1))).await, 0);
    assert_eq!(dead(clock.now().after(days(1))).await, 1);
}
