//! A store with one account, a server over it, and a client that keeps
//! responses as text.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use postrider_auth::Authenticator;
use postrider_blob as blob;
use postrider_body::Bodies;
use postrider_imap::{Handles, Server, Settings};
use postrider_meta::command::{Accept, AddAccount, AddDomain, Delivery, SetAccount};
use postrider_meta::memory::Memory;
use postrider_meta::{
    AccountState, Answer, Changes, Client, Command, Error, Executed, Meta, Query, QuotaLimit,
    ReadAt, Token, command,
};
use postrider_net::{Connection, Drain, Service as _};
use postrider_types::{
    AccountId, Address, BodyId, Clock, CommandId, DomainName, Flags, Millis, Random, SystemClock,
};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinHandle;

pub(crate) const USER: &str = "ann@example.test";
pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const PREFIX: &str = "Return-Path: <a@b>\r\n";

/// The system's clock, moved ahead by hand.
#[derive(Default)]
pub(crate) struct MovedClock(AtomicU64);

impl MovedClock {
    pub(crate) fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Millis {
        Millis(SystemClock.now().0 + self.0.load(Ordering::Relaxed))
    }
}

/// The metadata store behind a switch.
pub(crate) struct Switched {
    inner: Arc<Memory>,
    pub(crate) away: AtomicBool,
    /// No majority answers: what is known can be read.
    pub(crate) cut_off: AtomicBool,
}

impl Switched {
    /// Hints to all who watch, as a store does when its standing changes.
    pub(crate) fn cut_off(&self, cut_off: bool) {
        self.cut_off.store(cut_off, Ordering::Relaxed);
        self.inner.notify_all();
    }

    fn check(&self) -> Result<(), Error> {
        match self.away.load(Ordering::Relaxed) {
            true => Err(Error::Unavailable("switched off".into())),
            false => Ok(()),
        }
    }
}

#[async_trait::async_trait]
impl Meta for Switched {
    async fn execute(&self, id: CommandId, command: Command) -> Result<Executed, Error> {
        self.check()?;
        if self.lacks_majority() {
            return Err(Error::Unavailable("cut off".into()));
        }
        self.inner.execute(id, command).await
    }

    async fn query(&self, query: Query, at: ReadAt) -> Result<(Answer, Token), Error> {
        self.check()?;
        if self.lacks_majority() && at == ReadAt::Latest {
            return Err(Error::Unavailable("cut off".into()));
        }
        self.inner.query(query, at).await
    }

    fn watch(&self, account: AccountId) -> Changes {
        self.inner.watch(account)
    }

    fn lacks_majority(&self) -> bool {
        self.cut_off.load(Ordering::Relaxed)
    }
}

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

pub(crate) struct World {
    pub(crate) memory: Arc<Memory>,
    pub(crate) switch: Arc<Switched>,
    pub(crate) clock: Arc<MovedClock>,
    pub(crate) handles: Handles,
    pub(crate) settings: Settings,
    pub(crate) drain: Drain,
    pub(crate) peer: SocketAddr,
    account: AccountId,
    folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_inline(64 * 1024).await
    }

    /// A world in which larger bodies lie in objects.
    pub(crate) async fn with_inline(inline_limit: u64) -> Self {
        let clock = Arc::new(MovedClock::default());
        let memory = Memory::new(clock.clone());
        let switch = Arc::new(Switched {
            inner: memory.clone(),
            away: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
        });
        let random = Arc::new(Counter(AtomicU64::new(0)));
        let meta = Client::new(switch.clone(), clock.clone(), random);
        let folder = tempfile::tempdir().unwrap();
        let objects = blob::Settings {
            folder: Some(folder.path().join("objects")),
            cache_size: 0,
            deadline: Duration::from_millis(200),
            attempt_timeout: Duration::from_millis(200),
            retry_pause: Duration::from_millis(1),
            ..blob::Settings::default()
        };
        let body_settings = postrider_body::Settings {
            inline_limit,
            ..postrider_body::Settings::default()
        };
        let blobs = blob::Store::open(&objects).unwrap();
        let bodies = Bodies::new(meta.clone(), blobs, body_settings);
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
            address: Address::parse(USER).unwrap(),
            verifier: postrider_auth::hash_password_blocking(PASSWORD).unwrap(),
            quota: QuotaLimit::default(),
            expires: None,
        };
        let account = meta.run(account).await.unwrap().0.unwrap();
        Self {
            memory,
            switch,
            clock,
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
            peer: SocketAddr::from(([127, 0, 0, 1], 2143)),
            folder,
        }
    }

    /// A world with these messages in INBOX.
    pub(crate) async fn with(messages: &[&str]) -> Self {
        let world = Self::new().await;
        for message in messages {
            world.deliver(message).await;
        }
        world
    }

    /// Where objects lie.
    pub(crate) fn objects(&self) -> std::path::PathBuf {
        self.path().join("objects")
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Delivers to INBOX, with [`PREFIX`] before the message.
    pub(crate) async fn deliver(&self, message: &str) {
        let mut intake = self.handles.bodies.intake();
        for chunk in message.as_bytes().chunks(10_000) {
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
            received: self.clock.now(),
            queued: None,
            origin: None,
            notices: Vec::new(),
        };
        let accepted = self.handles.meta.run(accept).await.unwrap().0.unwrap();
        accepted.deliveries[0].clone().unwrap();
    }

    /// Forgets old removals.
    pub(crate) async fn trim(&self) {
        let dedup_before = CommandId::floor(Millis(0));
        let history_before = BodyId::floor(Millis(0));
        let trim = command::Trim {
            dedup_before,
            history_before,
        };
        assert!(!self.handles.meta.run(trim).await.unwrap().0.unwrap().more);
    }

    pub(crate) async fn suspend(&self) {
        let set = SetAccount {
            address: Address::parse(USER).unwrap(),
            verifier: command::Change::Keep,
            quota: command::Change::Keep,
            expires: command::Change::Keep,
            state: command::Change::Set(AccountState::Suspended),
        };
        self.handles.meta.run(set).await.unwrap().0.unwrap();
    }

    pub(crate) async fn set_quota(&self, quota: QuotaLimit) {
        let set = SetAccount {
            address: Address::parse(USER).unwrap(),
            verifier: command::Change::Keep,
            quota: command::Change::Set(quota),
            expires: command::Change::Keep,
            state: command::Change::Keep,
        };
        self.handles.meta.run(set).await.unwrap().0.unwrap();
    }

    pub(crate) fn server(&self) -> Server {
        Server::new(self.handles.clone(), self.settings.clone())
    }

    pub(crate) fn connection(&self) -> (DuplexStream, Connection) {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let local = SocketAddr::from(([127, 0, 0, 1], 2143));
        (client, Connection::from_duplex(server, self.peer, local))
    }

    /// Connects and reads the greeting.
    pub(crate) async fn connect(&self) -> Imap<DuplexStream> {
        let (client, connection) = self.connection();
        let (server, drain) = (self.server(), self.drain.clone());
        let session = tokio::spawn(async move { server.serve(connection, drain).await });
        let mut imap = Imap::new(client, session);
        let greeting = imap.response().await;
        assert!(
            greeting.starts_with("* OK [CAPABILITY IMAP4rev1 "),
            "{greeting}"
        );
        imap
    }

    /// Connects and logs in.
    pub(crate) async fn login(&self) -> Imap<DuplexStream> {
        let mut imap = self.connect().await;
        imap.ok(&format!("LOGIN {USER} \"{PASSWORD}\"")).await;
        imap
    }

    /// Connects, logs in and selects INBOX.
    pub(crate) async fn inbox(&self) -> Imap<DuplexStream> {
        let mut imap = self.login().await;
        imap.ok("SELECT INBOX").await;
        imap
    }

    /// The store holds together.
    pub(crate) async fn check(&self) {
        assert_eq!(
            self.memory.check_consistency().await.unwrap(),
            Vec::<String>::new()
        );
    }
}

/// A client.
pub(crate) struct Imap<S> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
    session: JoinHandle<()>,
    tag: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Imap<S> {
    pub(crate) fn new(stream: S, session: JoinHandle<()>) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            session,
            tag: 0,
        }
    }

    /// The same session over another stream.
    pub(crate) async fn over<T, F: Future<Output = T>>(
        self,
        change: impl FnOnce(S) -> F,
    ) -> Imap<T> {
        Imap {
            stream: change(self.stream).await,
            buffer: Vec::new(),
            session: self.session,
            tag: self.tag,
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.iter().position(|b| *b == b'\n') {
                return Some(self.buffer.drain(..=at).collect());
            }
            let read = self.stream.read_buf(&mut self.buffer);
            if read.await.unwrap_or(0) == 0 {
                assert!(self.buffer.is_empty(), "half a line before the close");
                return None;
            }
        }
    }

    /// A response with its literals, without the line end; empty at the close.
    pub(crate) async fn response(&mut self) -> String {
        let mut all = Vec::new();
        while let Some(line) = self.line().await {
            all.extend_from_slice(&line);
            let Some(length) = literal(&line) else { break };
            while self.buffer.len() < length {
                let read = self.stream.read_buf(&mut self.buffer).await.unwrap_or(0);
                assert!(read > 0, "closed within a literal");
            }
            all.extend(self.buffer.drain(..length));
        }
        let text = String::from_utf8(all).unwrap();
        text.strip_suffix("\r\n").unwrap_or(&text).to_owned()
    }

    /// Sends a command; its tag.
    pub(crate) async fn start(&mut self, command: &str) -> String {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.send(format!("{tag} {command}\r\n").as_bytes()).await;
        tag
    }

    /// All responses up to the tagged one, which comes last, without its tag.
    pub(crate) async fn until(&mut self, tag: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let response = self.response().await;
            assert!(!response.is_empty(), "closed after {all:?}");
            if let Some(tagged) = response.strip_prefix(tag) {
                all.push(tagged.trim_start().to_owned());
                return all;
            }
            all.push(response);
        }
    }

    /// Runs a command.
    pub(crate) async fn run(&mut self, command: &str) -> Vec<String> {
        let tag = self.start(command).await;
        self.until(&tag).await
    }

    /// Runs a command that succeeds; its untagged responses.
    pub(crate) async fn ok(&mut self, command: &str) -> Vec<String> {
        let mut all = self.run(command).await;
        let tagged = all.pop().unwrap();
        assert!(
            tagged.starts_with("OK "),
            "{command}: {tagged} after {all:?}"
        );
        all
    }

    /// Runs a command; its tagged reply.
    pub(crate) async fn reply(&mut self, command: &str) -> String {
        self.run(command).await.pop().unwrap()
    }

    /// Appends a message; the tagged reply.
    pub(crate) async fn append(&mut self, arguments: &str, message: &str) -> String {
        let length = message.len();
        self.reply(&format!("APPEND {arguments} {{{length}+}}\r\n{message}"))
            .await
    }

    /// Expects the close and the end of the session.
    pub(crate) async fn closed(mut self) {
        assert_eq!(self.response().await, "");
        self.session.await.unwrap();
    }
}

/// The length of the literal that a response line announces at its end.
fn literal(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}\r\n")?;
    let open = line.iter().rposition(|&b| b == b'{')?;
    std::str::from_utf8(&line[open + 1..]).ok()?.parse().ok()
}
