//! What a frontend pays for a page of 500 messages with their summaries beside
//! what a voter pays. Prints; asserts nothing about speed.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use postrider_meta::query::{Mailboxes, Messages};
use postrider_meta::{Client, Detail, ReadAt, Token, UidRanges};
use postrider_meta_raft::{Remote, Settings};
use postrider_rpc::tonic::transport::server::TcpIncoming;
use postrider_rpc::{Timeouts, server};
use postrider_types::{AccountId, ModSeq};
use support::{account, channels, client, message, start};
use tempfile::TempDir;
use tokio::net::TcpListener;

const MESSAGES: u32 = 500;
/// About what ENVELOPE, BODYSTRUCTURE and header index of a usual message take.
const SUMMARY: usize = 1500;
const ROUNDS: u32 = 200;

#[tokio::main]
async fn main() {
    let dir = TempDir::new().unwrap();
    let node = start(Settings {
        dir: dir.path().to_owned(),
        ..Settings::default()
    })
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = server(Timeouts::default()).add_routes(node.services());
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });

    let voter = client(node.clone());
    let remote = Remote::new(channels(), [address], Duration::from_secs(10));
    let frontend = client(std::sync::Arc::new(remote));
    let alice = account(&voter).await;
    for _ in 0..MESSAGES {
        let mut accept = message(alice, 2000);
        let noise: Vec<u8> = (0..SUMMARY).map(|_| rand::random()).collect();
        accept.body.summary = Bytes::from(noise);
        voter.run(accept).await.unwrap().0.unwrap();
    }
    for detail in [Detail::Flags, Detail::Row, Detail::Summary] {
        let mut times = Vec::new();
        for meta in [&voter, &frontend] {
            page(meta, alice, detail).await;
            let began = Instant::now();
            for _ in 0..ROUNDS {
                page(meta, alice, detail).await;
            }
            times.push(began.elapsed() / ROUNDS);
        }
        println!(
            "{MESSAGES} messages, {detail:?}: voter {} us, frontend {} us",
            times[0].as_micros(),
            times[1].as_micros()
        );
    }
    node.shutdown().await.unwrap();
}

async fn page(meta: &Client, account: AccountId, detail: Detail) {
    let mailboxes = Mailboxes {
        account,
        after: None,
        limit: 1,
    };
    let at = ReadAt::AtLeast(Token(0));
    let mailbox = meta.ask(mailboxes, at).await.unwrap().0.items[0].id;
    let messages = Messages {
        account,
        mailbox,
        uids: UidRanges(vec![1..=u32::MAX]),
        detail,
        changed_since: ModSeq(0),
        limit: MESSAGES,
    };
    let (page, _) = meta.ask(messages, at).await.unwrap();
    assert_eq!(page.messages.len(), MESSAGES as usize);
}
