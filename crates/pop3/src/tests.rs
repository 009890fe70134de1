//! Tests of sessions: a client over an in-memory connection, the memory backend
//! below, what the client sees.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use postrider_auth::Authenticator;
use postrider_blob as blob;
use postrider_body::Bodies;
use postrider_meta::command::{Accept, AddAccount, AddDomain, Delivery, Expunge};
use postrider_meta::memory::Memory;
use postrider_meta::{
    Answer, Changes, Client as Meta, Command, Error, Executed, Query, QuotaLimit, ReadAt, Token,
    UidRanges, query,
};
use postrider_net::{Connection, Drain, Service as _, Tls, TlsSettings};
use postrider_types::{
    AccountId, Address, Clock as _, CommandId, DomainName, Flags, Random, SystemClock,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinHandle;

use crate::{Handles, Server, Settings};

const PASSWORD: &str = "correct horse";
const PREFIX: &str = "Return-Path: <a@b>\r\nReceived: x\r\n";

/// Different numbers each time, which is all that ids need here.
struct Counter(AtomicU64);

impl Random for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (byte, digit) in bytes.iter_mut().rev().zip(number.iter().rev()) {
            *byte = *digit;
        }
    }
}

/// The store behind a connection that can be cut.
struct Remote {
    memory: Arc<Memory>,
    is_cut: AtomicBool,
}

impl Remote {
    fn reach(&self) -> Result<&Memory, Error> {
        if self.is_cut.load(Ordering::Relaxed) {
            return Err(Error::Unavailable("cut off".into()));
        }
        Ok(&self.memory)
    }
}

#[async_trait]
impl postrider_meta::Meta for Remote {
    async fn execute(&self, id: CommandId, command: Command) -> Result<Executed, Error> {
        self.reach()?.execute(id, command).await
    }

    async fn query(&self, query: Query, at: ReadAt) -> Result<(Answer, Token), Error> {
        self.reach()?.query(query, at).await
    }

    fn watch(&self, account: AccountId) -> Changes {
        self.memory.watch(account)
    }
}

/// A store with one account, and a server over it.
struct World {
    memory: Arc<Memory>,
    remote: Arc<Remote>,
    handles: Handles,
    settings: Settings,
    drain: Drain,
    account: AccountId,
    folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let memory = Memory::new(Arc::new(SystemClock));
        let random = Arc::new(Counter(AtomicU64::new(0)));
        let remote = Arc::new(Remote {
            memory: memory.clone(),
            is_cut: AtomicBool::new(false),
        });
        let meta = Meta::new(remote.clone(), Arc::new(SystemClock), random);
        let folder = tempfile::tempdir().unwrap();
        let objects = blob::Settings {
            folder: Some(folder.path().join("objects")),
            ..blob::Settings::default()
        };
        let bodies = Bodies::new(
            meta.clone(),
            blob::Store::open(&objects).unwrap(),
            postrider_body::Settings::default(),
        );
        let failures_at_once = postrider_auth::Settings {
            failure_delay: Duration::ZERO,
            ..postrider_auth::Settings::default()
        };
        let domain = AddDomain {
            name: DomainName::parse("example.test").unwrap(),
            internal: false,
            catch_all: None,
            relay: None,
        };
        meta.run(domain).await.unwrap().0.unwrap();
        let account = AddAccount {
            address: Address::parse("ann@example.test").unwrap(),
            verifier: postrider_auth::hash_password_blocking(PASSWORD).unwrap(),
            quota: QuotaLimit::default(),
            expires: None,
        };
        let account = meta.run(account).await.unwrap().0.unwrap();
        Self {
            memory,
            remote,
            account,
            handles: Handles {
                auth: Authenticator::new(meta.clone(), failures_at_once),
                meta,
                bodies,
                tls: None,
            },
            settings: Settings {
                plain_login_from_loopback: true,
                ..Settings::default()
            },
            drain: Drain::new(),
            folder,
        }
    }

    /// A world with these messages in INBOX.
    async fn with(messages: &[&str]) -> Self {
        let world = Self::new().await;
        for message in messages {
            world.deliver(message.as_bytes()).await;
        }
        world
    }

    async fn deliver(&self, message: &[u8]) {
        let mut intake = self.handles.bodies.intake();
        for chunk in message.chunks(10_000) {
            intake.write(chunk).await.unwrap();
        }
        let accept = Accept {
            body: intake.finish().await.unwrap(),
            deliveries: vec![Delivery {
                account: self.account,
                mailbox: "INBOX".into(),
                prefix: Bytes::from_static(PREFIX.as_bytes()),
                flags: Flags::new(),
                overdraft: false,
            }],
            received: SystemClock.now(),
            queued: None,
            origin: None,
            notices: Vec::new(),
        };
        let accepted = self.handles.meta.run(accept).await.unwrap().0.unwrap();
        accepted.deliveries[0].clone().unwrap();
    }

    /// Connects and reads the greeting.
    async fn connect(&self) -> Pop3 {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let loopback = SocketAddr::from(([127, 0, 0, 1], 2110));
        let connection = Connection::from_duplex(server, loopback, loopback);
        let service = Server::new(self.handles.clone(), self.settings.clone());
        let drain = self.drain.clone();
        let session = tokio::spawn(async move { service.serve(connection, drain).await });
        let mut pop3 = Pop3 {
            stream: client,
            buffer: Vec::new(),
            session,
        };
        assert_eq!(pop3.line().await, "+OK Postrider POP3 ready");
        pop3
    }

    /// Connects and logs in.
    async fn log_in(&self) -> Pop3 {
        let mut pop3 = self.connect().await;
        pop3.ok("USER ann@example.test").await;
        pop3.ok(&format!("PASS {PASSWORD}")).await;
        pop3
    }

    /// UIDs in INBOX.
    async fn uids(&self) -> Vec<u32> {
        let messages = query::Messages {
            account: self.account,
            mailbox: self.inbox().await,
            uids: UidRanges(vec![1..=u32::MAX]),
            detail: postrider_meta::Detail::Flags,
            changed_since: postrider_types::ModSeq(0),
            limit: 10_000,
        };
        let (page, _) = self
            .handles
            .meta
            .ask(messages, ReadAt::Latest)
            .await
            .unwrap();
        page.messages.iter().map(|m| m.uid.0).collect()
    }

    async fn inbox(&self) -> postrider_types::MailboxId {
        let inbox = query::MailboxByName {
            account: self.account,
            name: "INBOX".into(),
        };
        let (inbox, _) = self.handles.meta.ask(inbox, ReadAt::Latest).await.unwrap();
        inbox.unwrap().id
    }

    /// Removes messages as another session would.
    async fn expunge(&self, uids: UidRanges) {
        let expunge = Expunge {
            account: self.account,
            mailbox: self.inbox().await,
            uids,
            only_deleted: false,
            limit: 100,
        };
        self.handles.meta.run(expunge).await.unwrap().0.unwrap();
    }

    /// The store is sound.
    async fn finish(self) {
        let wrong = self.memory.check_consistency().await.unwrap();
        assert_eq!(wrong, Vec::<String>::new());
    }
}

struct Pop3 {
    stream: DuplexStream,
    buffer: Vec<u8>,
    session: JoinHandle<()>,
}

impl Pop3 {
    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// One line without its CRLF.
    async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = self.buffer.drain(..at + 2).collect::<Vec<_>>();
                return String::from_utf8_lossy(&line[..at]).into_owned();
            }
            let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
            assert!(
                read > 0,
                "the server closed: {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        }
    }

    async fn run(&mut self, command: &str) -> String {
        self.send(&format!("{command}\r\n")).await;
        self.line().await
    }

    async fn ok(&mut self, command: &str) -> String {
        let line = self.run(command).await;
        assert!(line.starts_with("+OK"), "{command}: {line}");
        line
    }

    async fn err(&mut self, command: &str) -> String {
        let line = self.run(command).await;
        assert!(line.starts_with("-ERR"), "{command}: {line}");
        line
    }

    /// The lines of a multi-line response up to its end, dots undone.
    async fn body(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            if line == "." {
                return lines;
            }
            lines.push(line.strip_prefix('.').unwrap_or(&line).to_owned());
        }
    }

    async fn lines(&mut self, command: &str) -> Vec<String> {
        self.ok(command).await;
        self.body().await
    }

    /// What comes until the server closes.
    async fn rest(mut self) -> String {
        let mut rest = std::mem::take(&mut self.buffer);
        self.stream.read_to_end(&mut rest).await.unwrap();
        self.session.await.unwrap();
        String::from_utf8_lossy(&rest).into_owned()
    }
}

#[tokio::test]
async fn the_maildrop_is_told() {
    let world = World::with(&["Subject: 1\r\n\r\none\r\n", "Subject: 2\r\n\r\n"]).await;
    let sizes = [PREFIX.len() + 19, PREFIX.len() + 14];
    let mut pop3 = world.log_in().await;
    assert_eq!(
        pop3.ok("STAT").await,
        format!("+OK 2 {}", sizes[0] + sizes[1])
    );
    let list = pop3.lines("LIST").await;
    assert_eq!(list, [format!("1 {}", sizes[0]), format!("2 {}", sizes[1])]);
    assert_eq!(pop3.ok("LIST 2").await, format!("+OK 2 {}", sizes[1]));
    let ids = pop3.lines("UIDL").await;
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0].split(' ').nth(1), ids[1].split(' ').nth(1));
    assert_eq!(pop3.ok("UIDL 1").await, format!("+OK {}", ids[0]));
    assert_eq!(pop3.ok("NOOP").await, "+OK nothing done");
    for command in [
        "LIST 0",
        "LIST 3",
        "UIDL 3",
        "RETR 99999999999",
        "DELE 3",
        "TOP 3 1",
    ] {
        assert_eq!(pop3.err(command).await, "-ERR no such message");
    }
    // What arrives later is for the next session.
    world.deliver(b"Subject: 3\r\n\r\n").await;
    assert!(pop3.ok("STAT").await.starts_with("+OK 2 "));
    assert!(world.log_in().await.ok("STAT").await.starts_with("+OK 3 "));
    world.finish().await;
}

#[tokio::test]
async fn messages_are_retrieved() {
    let world = World::with(&["A: b\r\n\r\n.\r\n..x\r\nlast", ""]).await;
    let mut pop3 = world.log_in().await;
    let header = ["Return-Path: <a@b>", "Received: x"];
    let whole = [&header[..], &["A: b", "", ".", "..x", "last"]].concat();
    assert_eq!(pop3.lines("RETR 1").await, whole);
    assert_eq!(pop3.lines("RETR 2").await, header);
    assert_eq!(pop3.lines("RETR 1").await, whole);
    assert_eq!(pop3.lines("TOP 1 0").await, whole[..4]);
    assert_eq!(pop3.lines("TOP 1 2").await, whole[..6]);
    assert_eq!(pop3.lines("TOP 1 99").await, whole);
    world.finish().await;
}

#[tokio::test]
async fn a_large_message_comes_through_whole() {
    let line = ".a line that begins with a dot, and is of no interest otherwise\r\n";
    let message = format!("Subject: large\r\n\r\n{}", line.repeat(50_000));
    let world = World::with(&[&message]).await;
    let mut pop3 = world.log_in().await;
    let lines = pop3.lines("RETR 1").await;
    assert_eq!(lines.len(), 2 + 2 + 50_000);
    let together = lines.iter().map(|line| line.len() + 2).sum::<usize>();
    assert_eq!(together, PREFIX.len() + message.len());
    assert_eq!(pop3.lines("TOP 1 1").await.len(), 5);
    world.finish().await;
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order() {
    let messages: Vec<_> = (0..100)
        .map(|i| format!("Subject: {i}\r\n\r\nbody\r\n"))
        .collect();
    let world = World::with(&messages.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut pop3 = world.log_in().await;
    // Ascending, then some out of order, and one that is gone.
    let order: Vec<usize> = (0..100).chain([5, 4, 99, 50, 51, 52]).collect();
    let commands: String = order
        .iter()
        .map(|i| format!("RETR {}\r\n", i + 1))
        .collect();
    pop3.send(&format!(
        "STAT\r\n{commands}DELE 1\r\nRETR 1\r\nNOOP\r\nQUIT\r\n"
    ))
    .await;
    assert!(pop3.line().await.starts_with("+OK 100 "));
    for i in order {
        assert!(pop3.line().await.starts_with("+OK "));
        assert!(pop3.body().await.contains(&format!("Subject: {i}")));
    }
    assert_eq!(pop3.line().await, "+OK marked for deletion");
    assert_eq!(pop3.line().await, "-ERR no such message");
    assert_eq!(pop3.line().await, "+OK nothing done");
    assert_eq!(pop3.rest().await, "+OK 1 messages removed, bye\r\n");
    assert_eq!(world.uids().await.len(), 99);
    world.finish().await;
}

#[tokio::test]
async fn deletions_happen_at_quit() {
    let world = World::with(&["A: 1\r\n\r\n", "A: 2\r\n\r\n", "A: 3\r\n\r\n"]).await;
    let mut pop3 = world.log_in().await;
    pop3.ok("DELE 1").await;
    pop3.ok("DELE 3").await;
    assert_eq!(pop3.err("DELE 3").await, "-ERR no such message");
    assert_eq!(pop3.lines("LIST").await.len(), 1);
    pop3.ok("RSET").await;
    assert_eq!(pop3.lines("UIDL").await.len(), 3);
    pop3.ok("DELE 1").await;
    pop3.ok("DELE 3").await;
    // The connection is cut: nothing happens.
    let Pop3 {
        stream, session, ..
    } = pop3;
    drop(stream);
    session.await.unwrap();
    assert_eq!(world.uids().await, [1, 2, 3]);

    let mut pop3 = world.log_in().await;
    pop3.ok("DELE 1").await;
    pop3.ok("DELE 3").await;
    pop3.ok("QUIT").await;
    assert_eq!(world.uids().await, [2]);
    assert_eq!(pop3.rest().await, "");
    world.finish().await;
}

#[tokio::test]
async fn a_store_that_is_away_loses_nothing() {
    let world = World::with(&["A: 1\r\n\r\n", "A: 2\r\n\r\n"]).await;
    let away = |is_cut| world.remote.is_cut.store(is_cut, Ordering::Relaxed);
    let mut pop3 = world.log_in().await;
    let mut late = world.connect().await;
    pop3.ok("DELE 1").await;
    away(true);
    assert!(pop3.err("RETR 2").await.starts_with("-ERR [SYS/TEMP] "));
    late.ok("USER ann@example.test").await;
    assert!(
        late.err(&format!("PASS {PASSWORD}"))
            .await
            .starts_with("-ERR [SYS/TEMP] ")
    );
    let told = "-ERR [SYS/TEMP] the messages marked for deletion may not have been removed";
    assert_eq!(pop3.err("QUIT").await, told);
    assert_eq!(pop3.rest().await, "");
    away(false);
    assert_eq!(world.uids().await, [1, 2]);
    late.ok("USER ann@example.test").await;
    late.ok(&format!("PASS {PASSWORD}")).await;
    assert!(late.lines("RETR 2").await.contains(&"A: 2".to_owned()));
    world.finish().await;
}

#[tokio::test]
async fn what_another_session_removed_is_told() {
    let world = World::with(&["A: 1\r\n\r\n", "A: 2\r\n\r\n", "A: 3\r\n\r\n"]).await;
    let mut pop3 = world.log_in().await;
    world.expunge(UidRanges(vec![1..=2])).await;
    let gone = "-ERR another session has removed this message";
    assert_eq!(pop3.err("RETR 1").await, gone);
    assert_eq!(pop3.err("TOP 2 0").await, gone);
    assert!(pop3.lines("RETR 3").await.contains(&"A: 3".to_owned()));
    pop3.ok("DELE 1").await;
    pop3.ok("DELE 3").await;
    assert_eq!(pop3.ok("QUIT").await, "+OK 1 messages removed, bye");
    assert!(world.uids().await.is_empty());
    world.finish().await;
}

#[tokio::test]
async fn logins_by_both_ways() {
    let world = World::with(&["A: 1\r\n\r\n"]).await;
    let mut pop3 = world.connect().await;
    assert_eq!(pop3.err("PASS x").await, "-ERR send USER first");
    assert_eq!(pop3.err("STAT").await, "-ERR log in first");
    pop3.ok("USER ann@example.test").await;
    let wrong = pop3.err("PASS wrong").await;
    assert!(wrong.starts_with("-ERR [AUTH] "), "{wrong}");
    pop3.ok("USER nobody@example.test").await;
    assert_eq!(pop3.err("PASS wrong").await, wrong);
    // \0ann@example.test\0correct horse
    let response = "AGFubkBleGFtcGxlLnRlc3QAY29ycmVjdCBob3JzZQ==";
    assert_eq!(pop3.run("AUTH PLAIN").await, "+ ");
    assert!(pop3.err("*").await.contains("cancelled"));
    assert_eq!(pop3.run("AUTH plain").await, "+ ");
    assert!(pop3.ok(response).await.starts_with("+OK 1 messages"));
    assert_eq!(pop3.err("USER ann").await, "-ERR you are logged in already");
    assert_eq!(pop3.err("STLS").await, "-ERR you are logged in already");
    let mut other = world.connect().await;
    assert!(
        other
            .ok(&format!("AUTH PLAIN {response}"))
            .await
            .starts_with("+OK 1 ")
    );
    let mut third = world.connect().await;
    assert!(third.err("AUTH CRAM-MD5").await.contains("PLAIN"));
    assert!(third.err("AUTH PLAIN !").await.contains("base64"));
    assert_eq!(third.lines("AUTH").await, ["PLAIN"]);
    world.finish().await;
}

#[tokio::test]
async fn passwords_stay_off_plain_connections() {
    let mut world = World::new().await;
    world.settings.plain_login_from_loopback = false;
    let mut pop3 = world.connect().await;
    let capabilities = pop3.lines("CAPA").await;
    assert!(
        !capabilities
            .iter()
            .any(|c| c == "USER" || c == "STLS" || c.starts_with("SASL"))
    );
    for command in ["USER ann@example.test", "AUTH PLAIN", "STLS"] {
        assert!(pop3.err(command).await.contains("TLS"));
    }
    world.settings.plain_login_from_loopback = true;
    let capabilities = world.connect().await.lines("CAPA").await;
    for needed in [
        "TOP",
        "UIDL",
        "RESP-CODES",
        "PIPELINING",
        "USER",
        "SASL PLAIN",
    ] {
        assert!(capabilities.iter().any(|c| c == needed), "{needed}");
    }
    world.finish().await;
}

#[tokio::test]
async fn what_came_before_tls_does_not_count() {
    let mut world = World::new().await;
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let settings = TlsSettings {
        certificate: world.folder.path().join("certificate.pem"),
        key: world.folder.path().join("key.pem"),
        handshake_timeout: Duration::from_secs(10),
    };
    std::fs::write(&settings.certificate, made.cert.pem()).unwrap();
    std::fs::write(&settings.key, made.signing_key.serialize_pem()).unwrap();
    world.handles.tls = Some(Tls::load(settings).unwrap());
    let mut pop3 = world.connect().await;
    assert!(pop3.lines("CAPA").await.contains(&"STLS".to_owned()));
    pop3.send("STLS\r\nNOOP\r\nUSER ann@example.test\r\n").await;
    assert_eq!(pop3.line().await, "+OK begin TLS");
    pop3.send("QUIT\r\nno handshake at all, but long enough for a record\r\n")
        .await;
    let rest = pop3.rest().await;
    assert!(!rest.contains("OK") && !rest.contains("ERR"), "{rest:?}");
    world.finish().await;
}

#[tokio::test]
async fn bad_input_is_refused_and_bounded() {
    let mut world = World::new().await;
    world.settings.max_errors = 5;
    let mut pop3 = world.connect().await;
    assert_eq!(pop3.err("APOP a b").await, "-ERR unknown command");
    assert_eq!(pop3.err("RETR 1").await, "-ERR log in first");
    assert_eq!(pop3.err("\0\0").await, "-ERR unknown command");
    assert_eq!(pop3.err("USER").await, "-ERR usage: USER name");
    pop3.send("x\r\nNOOP\r\n").await;
    assert_eq!(
        pop3.rest().await,
        "-ERR unknown command\r\n-ERR too many wrong commands\r\n"
    );

    let mut pop3 = world.connect().await;
    pop3.send(&"x".repeat(20_000)).await;
    assert_eq!(pop3.rest().await, "-ERR the line is too long\r\n");

    world.settings.max_failed_logins = 2;
    let mut pop3 = world.connect().await;
    pop3.ok("USER ann@example.test").await;
    pop3.err("PASS 1").await;
    pop3.ok("USER ann@example.test").await;
    pop3.err("PASS 2").await;
    assert_eq!(pop3.rest().await, "");
    world.finish().await;
}

#[tokio::test]
async fn a_drain_ends_sessions_without_deletions() {
    let world = World::with(&["A: 1\r\n\r\n"]).await;
    let mut pop3 = world.log_in().await;
    pop3.ok("DELE 1").await;
    world.drain.start();
    assert!(pop3.rest().await.starts_with("-ERR [SYS/TEMP] "));
    assert_eq!(world.uids().await, [1]);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_session() {
    let mut world = World::new().await;
    world.settings.idle_timeout = Duration::from_secs(60);
    let pop3 = world.connect().await;
    assert_eq!(pop3.rest().await, "-ERR you were silent for too long\r\n");
    world.finish().await;
}
