//! A node on a folder, and the commands that the tests send it.

#![allow(dead_code)]

pub(crate) mod bucket;
pub(crate) mod cluster;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_meta::command::{Accept, Accepted, AddAccount, AddDomain, Delivery};
use postrider_meta::query::Mailboxes;
use postrider_meta::{Client, Content, Encoding, Meta, NewBody, QuotaLimit, ReadAt};
use postrider_meta_raft::{Node, Settings};
use postrider_rpc::{Channels, Timeouts, Tls};
use postrider_types::{
    AccountId, Address, BodyId, DomainName, Flags, Millis, Random, SystemClock, Version, Versions,
};

pub(crate) struct Dice;

impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        rand::fill(bytes);
    }
}

pub(crate) fn settings(dir: &Path) -> Settings {
    Settings {
        dir: dir.to_owned(),
        election_timeout: std::time::Duration::from_millis(300),
        segment_bytes: 1 << 20,
        cache_bytes: 4 << 20,
        buffer_bytes: 2 << 20,
        snapshot_bytes: 1 << 20,
        keep_entries: 4,
        // The suite of the domain raises the cluster's version.
        versions: Versions {
            oldest: Version(1),
            newest: Version(9),
        },
        ..Settings::default()
    }
}

pub(crate) fn channels() -> Channels {
    Channels::new(Tls::Off, Timeouts::default())
}

pub(crate) async fn start(settings: Settings) -> Arc<Node> {
    Node::start(settings, Arc::new(SystemClock), channels(), None)
        .await
        .unwrap()
}

pub(crate) fn client(meta: Arc<dyn Meta>) -> Client {
    Client::new(meta, Arc::new(SystemClock), Arc::new(Dice))
}

/// Adds example.test and alice.
pub(crate) async fn account(client: &Client) -> AccountId {
    let domain = AddDomain {
        name: DomainName::parse("example.test").unwrap(),
        internal: false,
        catch_all: None,
        relay: None,
    };
    client.run(domain).await.unwrap().0.unwrap();
    let account = AddAccount {
        address: Address::parse("alice@example.test").unwrap(),
        verifier: "$argon2id$".into(),
        quota: QuotaLimit::default(),
        expires: None,
    };
    client.run(account).await.unwrap().0.unwrap()
}

/// A message of `length` bytes for `account`.
pub(crate) fn message(account: AccountId, length: usize) -> Accept {
    let bytes = Bytes::from(vec![b'x'; length]);
    let now = Millis(1_750_000_000_000);
    Accept {
        body: NewBody {
            id: BodyId::new(now, &Dice),
            size: length as u64,
            checksum: *blake3::hash(&bytes).as_bytes(),
            encoding: Encoding::Identity,
            content: Content::Inline(bytes),
            summary: Bytes::from_static(b"summary"),
            inline_budget: u64::MAX,
        },
        deliveries: vec![Delivery {
            account,
            mailbox: "INBOX".into(),
            prefix: Bytes::from_static(b"Return-Path: <>\r\n"),
            flags: Flags::default(),
            overdraft: false,
        }],
        received: now,
        queued: None,
        origin: None,
        notices: Vec::new(),
    }
}

/// The UID under which a message was delivered.
pub(crate) fn uid(accepted: &Accepted) -> u32 {
    accepted.deliveries[0].as_ref().unwrap().uid.0
}

/// How many messages are in the account's first mailbox, INBOX.
pub(crate) async fn count(client: &Client, account: AccountId) -> u32 {
    let mailboxes = Mailboxes {
        account,
        after: None,
        limit: 100,
    };
    let (page, _) = client.ask(mailboxes, ReadAt::Latest).await.unwrap();
    let inbox = page.items.iter().find(|mailbox| mailbox.name == "INBOX");
    inbox.unwrap().messages
}

/// Waits until `holds`, at most half a minute.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(waited.is_ok(), "not in time: {what}");
}
