//! What a client sees of the pages while the metadata do not answer. All else is
//! tested over the wire, in `tests/e2e/web.rs`.

use std::net::SocketAddr;

use async_trait::async_trait;
use futures::StreamExt as _;
use postrider_meta::{Answer, Changes, Command, Error, Executed, Meta, Query, ReadAt, Token};
use postrider_types::{AccountId, CommandId, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::random::ThreadRandom;
use crate::settings::Settings;

/// A store without a leader.
struct Away;

fn away<T>() -> Result<T, Error> {
    Err(Error::Unavailable("there is no leader".into()))
}

#[async_trait]
impl Meta for Away {
    async fn execute(&self, _: CommandId, _: Command) -> Result<Executed, Error> {
        away()
    }

    async fn query(&self, _: Query, _: ReadAt) -> Result<(Answer, Token), Error> {
        away()
    }

    fn watch(&self, _: AccountId) -> Changes {
        futures::stream::empty().boxed()
    }
}

fn key() -> UnsubscribeKey {
    UnsubscribeKey::new([7; 32])
}

/// The answer to `request`.
async fn ask(request: String) -> String {
    let meta = Client::new(
        Arc::new(Away),
        Arc::new(SystemClock),
        Arc::new(ThreadRandom),
    );
    let mut settings = Settings::default();
    settings.smtp.hostname = "mail.example.org".into();
    let web = Web::new(meta, key(), Site::of(&settings), Duration::from_secs(10));
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let address = SocketAddr::from(([127, 0, 0, 1], 443));
    let connection = Connection::from_duplex(server, address, address);
    client.write_all(request.as_bytes()).await.unwrap();
    web.serve(connection, Drain::new()).await;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer.to_ascii_lowercase()
}

#[tokio::test]
async fn who_cannot_be_served_now_is_told_to_come_again() {
    let token = key().token("news@example.org", "ann@outside.test");
    let leave = format!(
        "POST /unsubscribe/{token} HTTP/1.1\r\nHost: mail.example.org\r\nContent-Length: 26\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\nList-Unsubscribe=One-Click"
    );
    let policy = "GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.example.org\r\n\r\n";
    for request in [leave, policy.into()] {
        let answer = ask(request).await;
        assert!(answer.starts_with("http/1.1 503 "), "{answer}");
        assert!(answer.contains("\r\nretry-after: 60\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn the_question_needs_no_metadata() {
    let token = key().token("news@example.org", "ann@outside.test");
    let show = format!("GET /unsubscribe/{token} HTTP/1.1\r\nHost: mail.example.org\r\n\r\n");
    let answer = ask(show).await;
    assert!(answer.starts_with("http/1.1 200 "), "{answer}");
}
