//! Damage of every kind is found, and named.

use std::sync::Arc;

use postrider_kv::memory::Snapshot;
use postrider_kv::{Buffered, Txn};
use postrider_types::{
    AccountId, Address, BodyId, Clock, DomainId, DomainName, Flags, MailboxId, Millis, ModSeq, Uid,
};

use super::*;
use crate::memory::Memory;
use crate::testing::{CountingRandom, ManualClock};
use crate::{Act, Client, Content, Encoding, NewBody, QuotaLimit, UidRanges, command as c, key};

mod cluster;
mod golden;
mod queue;

type Damaged = Buffered<Snapshot>;

/// A whole store, and what lies in it.
struct Whole {
    memory: Arc<Memory>,
    ann: AccountId,
    inbox: MailboxId,
    now: Millis,
    /// Lies inline.
    small: BodyId,
    /// Lies in the object `big`.
    big: BodyId,
}

impl Whole {
    /// Of the messages in ann's INBOX, UID 1 was removed; 2 is small, 3 is big.
    async fn new() -> Self {
        let clock = ManualClock::new();
        let memory = Memory::new(clock.clone());
        let random = Arc::new(CountingRandom::default());
        let client = Client::new(memory.clone(), clock.clone(), random.clone());
        let now = clock.now();
        let new_domain = c::AddDomain {
            name: DomainName::parse("example.test").unwrap(),
            internal: false,
            catch_all: None,
            relay: None,
        };
        run(&client, new_domain).await;
        let ann = c::AddAccount {
            address: address("ann"),
            verifier: "$argon2id$".into(),
            quota: QuotaLimit::default(),
            expires: None,
        };
        let ann = run(&client, ann).await;
        let alias = c::SetAlias {
            address: address("alias"),
            targets: vec![address("ann")],
            only_new: true,
        };
        run(&client, alias).await;
        let group = c::SetGroup {
            address: address("team"),
            add: vec![address("ann")],
            remove: Vec::new(),
            internal: c::Change::Keep,
            list: c::ListChange::default(),
            only_new: true,
        };
        run(&client, group).await;
        let mut ids = Vec::new();
        let mut inbox = MailboxId(0);
        for content in [inline(), inline(), object()] {
            let body = NewBody {
                id: BodyId::new(now, &*random),
                size: 4,
                checksum: [0; 32],
                encoding: Encoding::Identity,
                content,
                summary: Bytes::from_static(b"summary"),
                inline_budget: u64::MAX,
            };
            ids.push(body.id);
            let delivery = c::Delivery {
                account: ann,
                mailbox: "INBOX".into(),
                prefix: Bytes::new(),
                flags: Flags::new(),
                overdraft: false,
            };
            let accept = c::Accept {
                body,
                deliveries: vec![delivery],
                received: now,
                queued: None,
                origin: None,
                notices: Vec::new(),
            };
            let accepted = run(&client, accept).await;
            inbox = accepted.deliveries[0].as_ref().unwrap().mailbox;
        }
        let expunge = c::Expunge {
            account: ann,
            mailbox: inbox,
            uids: UidRanges(vec![1..=1]),
            only_deleted: false,
            limit: 10,
        };
        assert_eq!(run(&client, expunge).await.uids, [Uid(1)]);
        cluster::found(&client, now).await;
        queue::fill(&client, &random, now).await;
        Self {
            memory,
            ann,
            inbox,
            now,
            small: ids[1],
            big: ids[2],
        }
    }

    /// Whether some finding about the store with `damage` holds all of `words`.
    async fn finds(&self, words: &[&str], damage: impl AsyncFnOnce(&mut Damaged)) {
        let mut damaged = Buffered::new(self.memory.snapshot());
        damage(&mut damaged).await;
        assert!(!damaged.is_empty(), "{words:?}: nothing was damaged");
        let findings = check_consistency(&damaged).await.unwrap();
        let told = |text: &String| words.iter().all(|word| text.contains(word));
        assert!(findings.iter().any(told), "{words:?} in {findings:#?}");
    }

    /// The same for a row that is missing.
    async fn misses(&self, words: &[&str], key: Vec<u8>) {
        let delete = async |txn: &mut Damaged| {
            assert!(txn.get(&key).await.unwrap().is_some(), "{words:?}");
            txn.delete(key);
        };
        self.finds(words, delete).await;
    }

    /// The same for a row that should not be there.
    async fn finds_extra(&self, words: &[&str], key: Vec<u8>, value: Bytes) {
        let put = async |txn: &mut Damaged| txn.put(key, value);
        self.finds(words, put).await;
    }

    /// The same for a row that has changed.
    async fn finds_edited<M: Proto + Default>(
        &self,
        words: &[&str],
        key: Vec<u8>,
        edit: impl FnOnce(&mut M),
    ) {
        let put = async |txn: &mut Damaged| {
            let mut row: M = row::get(txn, &key).await.unwrap().unwrap();
            edit(&mut row);
            row::put(txn, key, &row);
        };
        self.finds(words, put).await;
    }
}

async fn run<A: Act>(client: &Client, act: A) -> A::Outcome {
    client.run(act).await.unwrap().0.unwrap()
}

fn address(local: &str) -> Address {
    Address::parse(&format!("{local}@example.test")).unwrap()
}

fn inline() -> Content {
    Content::Inline(Bytes::from_static(b"body"))
}

fn object() -> Content {
    Content::Object {
        key: "big".into(),
        length: 4,
    }
}

#[tokio::test]
async fn a_whole_store_is_whole() {
    let whole = Whole::new().await;
    let findings = whole.memory.check_consistency().await.unwrap();
    assert_eq!(findings, Vec::<String>::new());
}

#[tokio::test]
async fn any_damaged_row_is_found() {
    let whole = Whole::new().await;
    let snapshot = whole.memory.snapshot();
    let all = Range {
        start: Vec::new(),
        end: vec![0xff],
        limit: 10_000,
        reverse: false,
    };
    // Not looked into: summaries, which are the message crate's, and verdicts.
    let closed = [key::summaries(), key::verdicts()];
    let pairs = snapshot.range(all).await.unwrap().into_iter();
    let pairs: Vec<_> = pairs
        .filter(|(key, value)| {
            *value != row::EMPTY && !closed.iter().any(|prefix| key.starts_with(prefix))
        })
        .collect();
    assert!(pairs.len() > 25, "{}", pairs.len());
    for (key, _) in pairs {
        for damage in [&b""[..], &[99], &[row::VERSION, 0xff]] {
            let mut damaged = Buffered::new(snapshot.clone());
            damaged.put(key.to_vec(), Bytes::from_static(damage));
            let findings = check_consistency(&damaged).await.unwrap();
            assert!(!findings.is_empty(), "{}", kv::key::escape(&key));
        }
    }
}

#[tokio::test]
async fn damage_to_the_directory_is_found() {
    let whole = Whole::new().await;
    let (ann, team) = (address("ann"), address("team"));
    let domain = DomainName::parse("example.test").unwrap();
    let w = &whole;
    w.misses(&["ann@", "not held"], key::name(&ann)).await;
    w.misses(&["alias@", "not held"], key::name(&address("alias")))
        .await;
    w.misses(&["team@", "listed as"], key::group(&team)).await;
    w.finds_edited(
        &["team@", "is no list"],
        key::group(&team),
        |row: &mut row::Group| {
            row.unsubscribe = true;
        },
    )
    .await;
    w.finds_edited(
        &["team@", "is no address"],
        key::group(&team),
        |row: &mut row::Group| {
            row.list = true;
            row.owner = Some("nobody".into());
        },
    )
    .await;
    w.misses(&["ann@", "listed as"], key::account_name(&ann))
        .await;
    w.misses(&["domain does not exist"], key::domain(&domain))
        .await;
    w.misses(&["no credentials"], key::credentials(w.ann)).await;
    w.misses(&["not its own"], key::account(w.ann)).await;
    w.misses(&["no counters"], key::counters(w.ann)).await;
    w.misses(&["0 accounts, has 1"], key::domain_accounts(DomainId(1)))
        .await;
    w.misses(&["domain 1", "not given out"], key::last_domain())
        .await;
    w.misses(&["account 1", "not given out"], key::last_account())
        .await;
    w.misses(
        &["team@", "1 members, has 0"],
        key::group_member(&team, &ann),
    )
    .await;
    let stray = key::group_member(&address("none"), &ann);
    w.finds_extra(&["none@", "no group"], stray, row::EMPTY)
        .await;
    let broken = Bytes::from_static(&[99]);
    w.finds_extra(&["version 99"], key::default_mailboxes(), broken.clone())
        .await;
    w.finds_extra(&["version 99"], key::name(&ann), broken)
        .await;
    w.finds_edited(
        &["another address"],
        key::account(w.ann),
        |row: &mut row::Account| row.address = "bob@example.test".into(),
    )
    .await;
    w.finds_edited(
        &["nothing purges it"],
        key::account(w.ann),
        |row: &mut row::Account| row.state_code = 2,
    )
    .await;
}

#[tokio::test]
async fn damage_to_mail_is_found() {
    let whole = Whole::new().await;
    let w = &whole;
    let mailbox = key::mailbox(w.ann, w.inbox);
    let message = |uid| key::message(w.ann, w.inbox, Uid(uid));
    for change in [
        |row: &mut row::Mailbox| row.messages += 1,
        |row: &mut row::Mailbox| row.unseen -= 1,
        |row: &mut row::Mailbox| row.deleted += 1,
        |row: &mut row::Mailbox| row.size -= 1,
        |row: &mut row::Mailbox| row.vanished += 1,
    ] {
        w.finds_edited(&["mailbox 1: tells"], mailbox.clone(), change)
            .await;
    }
    type Change = fn(&mut row::Mailbox);
    let changes: [(&str, Change); 7] = [
        ("UID 3: its UID was not given out", |row| row.uid_next = 3),
        ("its MODSEQ is above", |row| row.highest_mod_seq = 1),
        ("its MODSEQ was not given out", |row| {
            row.highest_mod_seq = 1_000;
        }),
        ("its log begins in the future", |row| row.log_floor = 1_000),
        ("its recent messages", |row| row.first_recent = 1_000),
        ("its UIDVALIDITY was not given out", |row| {
            row.uid_validity = u32::MAX;
        }),
        ("its name leads elsewhere", |row| row.name = "other".into()),
    ];
    for (text, change) in changes {
        w.finds_edited(&[text], mailbox.clone(), change).await;
    }
    for change in [
        |row: &mut row::Counters| row.bytes += 1,
        |row: &mut row::Counters| row.messages -= 1,
        |row: &mut row::Counters| row.mailboxes += 1,
        |row: &mut row::Counters| row.subscriptions += 1,
    ] {
        w.finds_edited(&["account 1: tells"], key::counters(w.ann), change)
            .await;
    }
    w.misses(&["no INBOX"], mailbox.clone()).await;
    w.misses(&["leads elsewhere"], key::mailbox_name(w.ann, "INBOX"))
        .await;
    w.misses(&["log entries"], message(2)).await;
    let value = row::encode(&row::Message::default());
    w.finds_extra(&["UID 1", "removed, yet there"], message(1), value)
        .await;
    let stray = key::message(w.ann, MailboxId(99), Uid(1));
    let value = row::encode(&row::Message::default());
    w.finds_extra(&["mailbox 99", "does not exist"], stray, value)
        .await;
    let mark = key::deleted(w.ann, w.inbox, Uid(2));
    w.finds_extra(&["UID 2", "\\Deleted"], mark, row::EMPTY)
        .await;
    damage_to_the_log(w).await;
}

async fn damage_to_the_log(w: &Whole) {
    let snapshot = w.memory.snapshot();
    let first = async |prefix: Vec<u8>| {
        let pairs = snapshot.range(Range::prefix(&prefix, 1)).await.unwrap();
        pairs[0].0.to_vec()
    };
    let changed = first(key::changes(w.ann, w.inbox)).await;
    w.misses(&["UID 2", "change log lacks it"], changed).await;
    let vanished = first(key::vanished_of(w.ann, w.inbox)).await;
    w.misses(&["points to no removal"], vanished).await;
    let index = first(key::vanished_times()).await;
    w.misses(&["no index by time"], index).await;
    let stray = key::changed(w.ann, w.inbox, ModSeq(1_000));
    let value = row::encode(&row::Changed { uid: 2 });
    w.finds_extra(&["3 log entries for 2"], stray, value).await;
}

#[tokio::test]
async fn damage_to_bodies_is_found() {
    let whole = Whole::new().await;
    let w = &whole;
    let orphan = BodyId::from_bytes([9; 16]);
    let missing = format!("body {}, which is missing", w.small);
    w.misses(&[&missing], key::body(w.small)).await;
    w.misses(&["has no summary"], key::summary(w.big)).await;
    w.misses(&["inline bytes are wrong"], key::inline(w.small))
        .await;
    let bytes = Bytes::from_static(b"summary");
    for extra in [key::summary(orphan), key::inline(orphan)] {
        w.finds_extra(&["summaries"], extra, bytes.clone()).await;
    }
    w.finds_edited(
        &["tells 2 references, 1 name it"],
        key::body(w.small),
        |row: &mut row::Body| row.references = 2,
    )
    .await;
    let usage = async |txn: &mut Damaged| txn.add(key::inline_usage(), 1);
    w.finds(&["tells 9 inline bytes, has 8"], usage).await;
    w.misses(&["the index of big lacks it"], key::content("big", 0))
        .await;
    w.misses(&["the object big, which is not known"], key::object("big"))
        .await;
    type Change = fn(&mut row::Object);
    let changes: [(&str, Change); 5] = [
        ("live bytes are miscounted", |row| row.live = 3),
        ("bodies are miscounted", |row| row.bodies = 2),
        ("dead and alive", |row| row.dead_since = Some(1)),
        ("overlap or lie outside", |row| row.length = 3),
        ("half-empty ones lacks it", |row| row.length = 100),
    ];
    for (text, change) in changes {
        w.finds_edited(&["object big", text], key::object("big"), change)
            .await;
    }
    for extra in [key::half_empty("big"), key::dead_object(w.now, "big")] {
        w.finds_extra(&["listed are"], extra, row::EMPTY).await;
    }
}
