//! A server with domain, accounts and bodies, and a client that talks to it.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use postrider_auth::Authenticator;
use postrider_blob::Store;
use postrider_body::Bodies;
use postrider_meta::command::{AddAccount, AddDomain, SetAlias, SetGroup};
use postrider_meta::memory::Memory;
use postrider_meta::{
    Act, Changes, Client, Command, Detail, Error, Executed, Meta, Query, QuotaLimit, ReadAt, Relay,
    Token, UidRanges, query,
};
use postrider_net::{Connection, Drain, Service, Tls, TlsSettings};
use postrider_notice::Notices;
use postrider_proto::smtp::{SrsKey, UnsubscribeLinks, client::Reply};
use postrider_smtp::{Handles, Outbound, RecipientCheck, Role, Server, Settings};
use postrider_types::{AccountId, Address, CommandId, DomainName, Random, SystemClock};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

pub(crate) const PASSWORD: &str = "correct horse";
/// How long a test waits for what must come at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// There is no server behind this one.
struct Nowhere;

#[async_trait]
impl RecipientCheck for Nowhere {
    async fn check(&self, _: &Relay, _: &str) -> Result<Reply, String> {
        Err("there is no such server".into())
    }
}

struct Dice;

impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        rand::RngCore::fill_bytes(&mut rand::rng(), bytes);
    }
}

/// A metadata store that can go away.
pub(crate) struct Switch {
    inner: Arc<Memory>,
    away: AtomicBool,
    /// Recipients that were asked for, and those that are just now.
    lookups: AtomicUsize,
    looking_up: AtomicUsize,
    /// They wait until it is closed.
    barrier: Semaphore,
    barred: AtomicBool,
}

impl Switch {
    fn check(&self) -> Result<(), Error> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(Error::Unavailable("switched off".into())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Meta for Switch {
    async fn execute(&self, id: CommandId, command: Command) -> Result<Executed, Error> {
        self.check()?;
        self.inner.execute(id, command).await
    }
    async fn query(
        &self,
        query: Query,
        at: ReadAt,
    ) -> Result<(postrider_meta::Answer, Token), Error> {
        self.check()?;
        if !matches!(query, Query::Resolve(_)) {
            return self.inner.query(query, at).await;
        }
        self.lookups.fetch_add(1, Ordering::SeqCst);
        self.looking_up.fetch_add(1, Ordering::SeqCst);
        if self.barred.load(Ordering::SeqCst) {
            let _ = self.barrier.acquire().await;
        }
        let answer = self.inner.query(query, at).await;
        self.looking_up.fetch_sub(1, Ordering::SeqCst);
        answer
    }
    fn watch(&self, account: AccountId) -> Changes {
        self.inner.watch(account)
    }
}

/// Everything around a session.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) drain: Drain,
    pub(crate) meta: Client,
    pub(crate) bodies: Bodies,
    /// Mail to other servers is queued.
    pub(crate) sends: bool,
    switch: Arc<Switch>,
    auth: Authenticator,
    tls: Tls,
    trust: rustls::RootCertStore,
    pub(crate) peer: IpAddr,
    pub(crate) unsubscribe: Option<UnsubscribeLinks>,
    _folder: tempfile::TempDir,
}

/// One delivered message.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) prefix: String,
    pub(crate) body: Vec<u8>,
}

impl World {
    /// Domain `example.test` with ann and bob; ann has the aliases
    /// `info@` and `postmaster@`, a group `all@` has both.
    pub(crate) async fn new() -> Self {
        let memory = Memory::new(Arc::new(SystemClock));
        let switch = Arc::new(Switch {
            inner: memory,
            away: AtomicBool::new(false),
            lookups: AtomicUsize::new(0),
            looking_up: AtomicUsize::new(0),
            barrier: Semaphore::new(0),
            barred: AtomicBool::new(false),
        });
        let meta = Client::new(switch.clone(), Arc::new(SystemClock), Arc::new(Dice));
        let folder = tempfile::tempdir().unwrap();
        let settings = postrider_blob::Settings {
            folder: Some(folder.path().join("bodies")),
            ..Default::default()
        };
        let blobs = Store::open(&settings).unwrap();
        let bodies = Bodies::new(meta.clone(), blobs, postrider_body::Settings::default());
        let auth = postrider_auth::Settings {
            failure_delay: Duration::ZERO,
            ..Default::default()
        };
        let (tls, trust) = certificate(folder.path());
        let world = Self {
            settings: Settings {
                hostname: "mail.example.test".into(),
                ..Settings::default()
            },
            drain: Drain::new(),
            bodies,
            sends: false,
            auth: Authenticator::new(meta.clone(), auth),
            meta,
            switch,
            tls,
            trust,
            peer: IpAddr::from([192, 0, 2, 7]),
            unsubscribe: None,
            _folder: folder,
        };
        world
            .run(AddDomain {
                name: domain("example.test"),
                internal: false,
                catch_all: None,
                relay: None,
            })
            .await;
        world
            .add_account("ann@example.test", QuotaLimit::default())
            .await;
        world
            .add_account("bob@example.test", QuotaLimit::default())
            .await;
        world
            .alias("info@example.test", &["ann@example.test"])
            .await;
        world
    }

    pub(crate) async fn run<A: Act>(&self, act: A) -> A::Outcome {
        let (verdict, _) = self.meta.run(act).await.unwrap();
        verdict.unwrap()
    }

    pub(crate) async fn add_account(&self, address: &str, quota: QuotaLimit) -> AccountId {
        static VERIFIER: OnceLock<String> = OnceLock::new();
        let hash = || postrider_auth::hash_password_blocking(PASSWORD).unwrap();
        let verifier = VERIFIER.get_or_init(hash).clone();
        let address = addr(address);
        self.run(AddAccount {
            address,
            verifier,
            quota,
            expires: None,
        })
        .await
    }

    pub(crate) async fn alias(&self, alias: &str, targets: &[&str]) {
        let targets = targets.iter().map(|t| addr(t)).collect();
        self.run(SetAlias {
            address: addr(alias),
            targets,
            only_new: true,
        })
        .await;
    }

    pub(crate) async fn group(&self, group: &str, members: &[&str], internal: bool) {
        self.run(SetGroup {
            address: addr(group),
            add: members.iter().map(|m| addr(m)).collect(),
            remove: Vec::new(),
            internal: postrider_meta::command::Change::Set(internal),
            list: postrider_meta::command::ListChange::default(),
            only_new: true,
        })
        .await;
    }

    /// Adds members to a group.
    pub(crate) async fn join(&self, group: &str, members: &[&str]) {
        self.run(SetGroup {
            address: addr(group),
            add: members.iter().map(|m| addr(m)).collect(),
            remove: Vec::new(),
            internal: postrider_meta::command::Change::Keep,
            list: postrider_meta::command::ListChange::default(),
            only_new: false,
        })
        .await;
    }

    /// The metadata store goes away or comes back.
    pub(crate) fn set_away(&self, away: bool) {
        self.switch.away.store(away, Ordering::SeqCst);
    }

    /// How many recipients were looked up since the last call.
    pub(crate) fn lookups(&self) -> usize {
        self.switch.lookups.swap(0, Ordering::SeqCst)
    }

    /// How many recipients are being looked up.
    pub(crate) fn looking_up(&self) -> usize {
        self.switch.looking_up.load(Ordering::SeqCst)
    }

    /// From now on recipients are looked up, but not found.
    pub(crate) fn bar(&self) {
        self.switch.barred.store(true, Ordering::SeqCst);
    }

    /// All are found that were looked up.
    pub(crate) fn unbar(&self) {
        self.switch.barred.store(false, Ordering::SeqCst);
        self.switch.barrier.close();
    }

    /// Connects a client; the greeting is read.
    pub(crate) async fn connect(&self, role: Role) -> Dialogue {
        let mut dialogue = self.connect_raw(role);
        dialogue.expect(220).await;
        dialogue
    }

    /// Connects a client; the greeting is still to come.
    pub(crate) fn connect_raw(&self, role: Role) -> Dialogue {
        self.attach(self.server(role))
    }

    /// A server to which several clients can be attached.
    pub(crate) fn server(&self, role: Role) -> Server {
        let handles = Handles {
            meta: self.meta.clone(),
            bodies: self.bodies.clone(),
            auth: self.auth.clone(),
            tls: Some(self.tls.clone()),
            node: None,
            outbound: self.sends.then(|| self.outbound()),
            unsubscribe: self.unsubscribe.clone(),
        };
        Server::new(handles, self.settings.clone(), role)
    }

    fn outbound(&self) -> Outbound {
        let srs = SrsKey::new([7; 32]);
        let day = Duration::from_secs(24 * 3600);
        Outbound {
            lifetime: day,
            warn_after: None,
            gateway: Arc::new(Nowhere),
            accept_unchecked: false,
            notices: Notices {
                meta: self.meta.clone(),
                bodies: self.bodies.clone(),
                node: None,
                hostname: self.settings.hostname.clone(),
                srs: srs.clone(),
                postmaster: None,
                lifetime: day,
            },
            srs,
            wake: Arc::new(|| {}),
        }
    }

    pub(crate) fn attach(&self, server: Server) -> Dialogue {
        let (client, stream) = tokio::io::duplex(64 << 10);
        let (peer, local) = (
            SocketAddr::new(self.peer, 40_000),
            "198.51.100.1:25".parse().unwrap(),
        );
        let local = if self.peer.is_loopback() {
            "127.0.0.1:25".parse().unwrap()
        } else {
            local
        };
        let connection = Connection::from_duplex(stream, peer, local);
        let drain = self.drain.clone();
        let session = tokio::spawn(async move { server.serve(connection, drain).await });
        Dialogue {
            stream: Some(Box::new(client)),
            buffer: Vec::new(),
            session,
        }
    }

    /// The messages of a mailbox, oldest first.
    pub(crate) async fn mailbox(&self, account: &str, name: &str) -> Vec<Mail> {
        let address = addr(account);
        let (account, _) = self
            .meta
            .ask(query::Account { address }, ReadAt::Latest)
            .await
            .unwrap();
        let account = account.unwrap().id;
        let question = query::MailboxByName {
            account,
            name: name.into(),
        };
        let (mailbox, _) = self.meta.ask(question, ReadAt::Latest).await.unwrap();
        let question = query::Messages {
            account,
            mailbox: mailbox.unwrap().id,
            uids: UidRanges(vec![1..=u32::MAX]),
            detail: Detail::Row,
            changed_since: Default::default(),
            limit: 1000,
        };
        let (page, _) = self.meta.ask(question, ReadAt::Latest).await.unwrap();
        let mut mails = Vec::new();
        for message in page.messages {
            let body = self
                .bodies
                .read_all(message.body, 1 << 30)
                .await
                .unwrap()
                .to_vec();
            let prefix = String::from_utf8(message.prefix.to_vec()).unwrap();
            assert_eq!(message.size, (prefix.len() + body.len()) as u64);
            mails.push(Mail { prefix, body });
        }
        mails
    }

    pub(crate) async fn inbox(&self, account: &str) -> Vec<Mail> {
        self.mailbox(account, "INBOX").await
    }

    /// Everything in the store still fits together.
    pub(crate) async fn check(&self) {
        let problems = self.switch.inner.check_consistency().await.unwrap();
        assert!(problems.is_empty(), "{problems:#?}");
    }

    pub(crate) fn connector(&self) -> tokio_rustls::TlsConnector {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.trust.clone())
            .with_no_client_auth();
        Arc::new(config).into()
    }
}

fn certificate(folder: &std::path::Path) -> (Tls, rustls::RootCertStore) {
    let made = rcgen::generate_simple_self_signed(vec!["mail.example.test".into()]).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut trust = rustls::RootCertStore::empty();
    trust.add(made.cert.der().clone()).unwrap();
    let handshake_timeout = Duration::from_secs(10);
    (
        Tls::load(TlsSettings {
            certificate,
            key,
            handshake_timeout,
        })
        .unwrap(),
        trust,
    )
}

pub(crate) fn domain(name: &str) -> DomainName {
    DomainName::parse(name).unwrap()
}

pub(crate) fn addr(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A client in a session.
pub(crate) struct Dialogue {
    stream: Option<Box<dyn Stream>>,
    buffer: Vec<u8>,
    session: JoinHandle<()>,
}

impl Dialogue {
    fn stream(&mut self) -> &mut Box<dyn Stream> {
        self.stream.as_mut().expect("the connection is open")
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A server that has hung up is noticed by what is expected next.
        let sent = tokio::time::timeout(PATIENCE, self.stream().write_all(bytes.as_ref())).await;
        let _ = sent.expect("the server takes no more");
    }

    /// Sends a line.
    pub(crate) async fn line(&mut self, line: &str) {
        self.send(format!("{line}\r\n")).await;
    }

    async fn fill(&mut self) -> usize {
        let mut chunk = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, self.stream().read(&mut chunk)).await;
        let read = read.expect("the server says nothing").unwrap_or(0);
        self.buffer.extend_from_slice(&chunk[..read]);
        read
    }

    /// The next reply, its lines joined by `\n`; None where the connection ends.
    pub(crate) async fn reply(&mut self) -> Option<String> {
        let mut lines = Vec::new();
        loop {
            while let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let line = String::from_utf8(line[..end].to_vec()).unwrap();
                assert!(line.len() >= 4, "{line}");
                let last = line.as_bytes()[3] == b' ';
                lines.push(line);
                if last {
                    return Some(lines.join("\n"));
                }
            }
            if self.fill().await == 0 {
                assert!(self.buffer.is_empty(), "half a reply");
                return None;
            }
        }
    }

    /// The next reply, which has this code.
    pub(crate) async fn expect(&mut self, code: u16) -> String {
        let reply = self
            .reply()
            .await
            .unwrap_or_else(|| panic!("closed instead of {code}"));
        assert!(
            reply.starts_with(&code.to_string()),
            "{code} expected: {reply}"
        );
        reply
    }

    /// Sends a line and reads its reply, which starts so.
    pub(crate) async fn say(&mut self, line: &str, start: &str) -> String {
        self.line(line).await;
        let reply = self
            .reply()
            .await
            .unwrap_or_else(|| panic!("{line}: closed"));
        assert!(
            reply.starts_with(start),
            "{line}: {start} expected: {reply}"
        );
        reply
    }

    /// EHLO, MAIL and RCPTs, up to where DATA can follow.
    pub(crate) async fn open(&mut self, from: &str, to: &[&str]) {
        self.say("EHLO client.example.org", "250").await;
        self.envelope(from, to).await;
    }

    pub(crate) async fn envelope(&mut self, from: &str, to: &[&str]) {
        self.say(&format!("MAIL FROM:<{from}>"), "250 2.1.0").await;
        for to in to {
            self.say(&format!("RCPT TO:<{to}>"), "250 2.1.5").await;
        }
    }

    /// DATA with `content`, which ends with CRLF, and the reply.
    pub(crate) async fn data(&mut self, content: &str, start: &str) -> String {
        self.say("DATA", "354").await;
        self.send(content).await;
        self.say(".", start).await
    }

    pub(crate) async fn quit(mut self) {
        self.say("QUIT", "221 2.0.0").await;
        assert_eq!(self.reply().await, None);
        self.session.await.unwrap();
    }

    /// The server has closed the connection.
    pub(crate) async fn closed(mut self) {
        assert_eq!(self.reply().await, None);
        self.session.await.unwrap();
    }

    /// Sends nothing more, but goes on reading.
    pub(crate) async fn close_sending(&mut self) {
        self.stream().shutdown().await.unwrap();
    }

    /// Hangs up without a goodbye and waits until the session has noticed.
    pub(crate) async fn cut(mut self) {
        self.stream = None;
        tokio::time::timeout(PATIENCE, self.session)
            .await
            .expect("the session ends")
            .unwrap();
    }

    /// Reads and drops whatever comes, until the server closes.
    pub(crate) async fn drain(mut self) -> String {
        while self.fill().await > 0 {}
        self.session.await.unwrap();
        String::from_utf8(self.buffer).unwrap()
    }

    /// Does the TLS handshake.
    pub(crate) async fn secure(&mut self, world: &World) {
        assert!(self.buffer.is_empty(), "plaintext before TLS");
        let name = rustls_pki_types::ServerName::try_from("mail.example.test").unwrap();
        let stream = self.stream.take().unwrap();
        let stream = world.connector().connect(name, stream).await.unwrap();
        self.stream = Some(Box::new(stream));
    }
}
