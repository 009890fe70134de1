//! A world of one account, a clock that is set by hand, and the two stores.

#![allow(unreachable_pub, reason = "a module of a test program")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use postrider_blob::Store;
use postrider_body::{Bodies, Settings};
use postrider_meta::command::{Accept, AddAccount, AddDomain, Delivery, Expunge, NameStore};
use postrider_meta::memory::Memory;
use postrider_meta::query;
use postrider_meta::{
    Answer, BodyView, Changes, Client, Command, Error, Executed, Meta, NewBody, Place, Query,
    QuotaLimit, ReadAt, Token, UidRanges,
};
use postrider_types::{
    AccountId, Address, BodyId, Clock, CommandId, DomainName, Flags, MailboxId, Millis, Random,
    SystemClock, Uid,
};

use crate::faults::Faults;

/// The object that says whose the objects are.
pub const STORE_ID: &str = "store/id";

/// A clock that stands still until it is moved. It starts at the real time, by
/// which the object store stamps its objects.
pub struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::Relaxed))
    }
}

struct Counted(AtomicU64);

impl Random for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&count.to_le_bytes())
            .finalize_xof()
            .fill(bytes);
    }
}

/// The metadata store behind a switch: while it is off, `Relocate` is not
/// answered, as if the process had died after the put.
struct Switched {
    inner: Arc<Memory>,
    relocate: Arc<AtomicBool>,
}

#[async_trait]
impl Meta for Switched {
    async fn execute(&self, id: CommandId, command: Command) -> Result<Executed, Error> {
        if matches!(command, Command::Relocate(_)) && !self.relocate.load(Ordering::Relaxed) {
            return Err(Error::Unavailable("switched off".into()));
        }
        self.inner.execute(id, command).await
    }

    async fn query(&self, query: Query, at: ReadAt) -> Result<(Answer, Token), Error> {
        self.inner.query(query, at).await
    }

    fn watch(&self, account: AccountId) -> Changes {
        self.inner.watch(account)
    }
}

/// The world.
pub struct World {
    pub faults: Faults,
    pub store: Arc<Store>,
    pub memory: Arc<Memory>,
    pub client: Client,
    pub bodies: Bodies,
    pub settings: Settings,
    pub clock: Arc<Hands>,
    pub relocate: Arc<AtomicBool>,
    pub account: AccountId,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Self {
        let clock = Arc::new(Hands(AtomicU64::new(SystemClock.now().0)));
        let memory = Memory::new(clock.clone());
        let relocate = Arc::new(AtomicBool::new(true));
        let meta = Switched {
            inner: memory.clone(),
            relocate: relocate.clone(),
        };
        let random = Arc::new(Counted(AtomicU64::new(0)));
        let client = Client::new(Arc::new(meta), clock.clone(), random);
        let faults = Faults::default();
        let store = store(&faults);
        let name = DomainName::parse("example.test").unwrap();
        let add = AddDomain {
            name,
            internal: false,
            catch_all: None,
            relay: None,
        };
        client.run(add).await.unwrap().0.unwrap();
        let add = AddAccount {
            address: Address::parse("ann@example.test").unwrap(),
            verifier: "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA".into(),
            quota: QuotaLimit::default(),
            expires: None,
        };
        let account = client.run(add).await.unwrap().0.unwrap();
        let bodies = Bodies::new(client.clone(), store.clone(), settings.clone());
        // Not by a claim: requests are counted.
        let id = bodies.new_store_id();
        faults.replace(STORE_ID, id.clone().into_bytes()).await;
        client.run(NameStore { id }).await.unwrap().0.unwrap();
        Self {
            faults,
            store,
            memory,
            client,
            bodies,
            settings,
            clock,
            relocate,
            account,
        }
    }

    /// The same stores, read with nothing cached.
    pub fn afresh(&self) -> Bodies {
        Bodies::new(
            self.client.clone(),
            store(&self.faults),
            self.settings.clone(),
        )
    }

    /// The keys of all objects with bodies.
    pub async fn keys(&self) -> Vec<String> {
        let mut keys = self.faults.keys().await;
        keys.retain(|key| key != STORE_ID);
        keys
    }

    /// The same objects under other, empty metadata.
    pub fn amnesic(&self) -> Bodies {
        let random = Arc::new(Counted(AtomicU64::new(1 << 32)));
        let memory = Memory::new(self.clock.clone());
        let client = Client::new(memory, self.clock.clone(), random);
        Bodies::new(client, store(&self.faults), self.settings.clone())
    }

    /// Lets time pass.
    pub fn pass(&self, span: Duration) {
        self.clock
            .0
            .fetch_add(span.as_millis() as u64, Ordering::Relaxed);
    }

    /// Takes a body in, in pieces.
    pub async fn take(&self, body: &[u8]) -> Result<NewBody, postrider_body::Error> {
        let mut intake = self.bodies.intake();
        for piece in body.chunks(10_000) {
            intake.write(piece).await?;
        }
        assert_eq!(intake.size(), body.len() as u64);
        intake.finish().await
    }

    /// Delivers a body that was taken in.
    pub async fn accept(&self, body: NewBody) -> Uid {
        let delivery = Delivery {
            account: self.account,
            mailbox: "INBOX".into(),
            prefix: Bytes::new(),
            flags: Flags::new(),
            overdraft: false,
        };
        let received = self.clock.now();
        let accept = Accept {
            body,
            deliveries: vec![delivery],
            received,
            queued: None,
            origin: None,
            notices: Vec::new(),
        };
        let accepted = self.client.run(accept).await.unwrap().0.unwrap();
        accepted.deliveries.into_iter().next().unwrap().unwrap().uid
    }

    /// Takes a body in and delivers it.
    pub async fn deliver(&self, body: &[u8]) -> (BodyId, Uid) {
        let new = self.take(body).await.unwrap();
        let id = new.id;
        (id, self.accept(new).await)
    }

    /// Removes a message.
    pub async fn remove(&self, uid: Uid) {
        let expunge = Expunge {
            account: self.account,
            mailbox: self.inbox().await,
            uids: UidRanges(vec![uid.0..=uid.0]),
            only_deleted: false,
            limit: 10,
        };
        let expunged = self.client.run(expunge).await.unwrap().0.unwrap();
        assert_eq!(expunged.uids, [uid]);
    }

    async fn inbox(&self) -> MailboxId {
        let ask = query::MailboxByName {
            account: self.account,
            name: "INBOX".into(),
        };
        self.client
            .ask(ask, ReadAt::Latest)
            .await
            .unwrap()
            .0
            .unwrap()
            .id
    }

    /// A body's row.
    pub async fn view(&self, id: BodyId) -> Option<BodyView> {
        let ask = query::Bodies {
            ids: vec![id],
            inline: false,
        };
        self.client
            .ask(ask, ReadAt::Latest)
            .await
            .unwrap()
            .0
            .pop()
            .unwrap()
    }

    /// The key of the object that a body lies in; None for an inline one.
    pub async fn object(&self, id: BodyId) -> Option<String> {
        match self.view(id).await.unwrap().place {
            Place::Inline => None,
            Place::Object { key, .. } => Some(key),
        }
    }

    /// Nothing in the metadata contradicts anything else.
    pub async fn consistent(&self) {
        let found = self.memory.check_consistency().await.unwrap();
        assert!(found.is_empty(), "{found:#?}");
    }
}

fn store(faults: &Faults) -> Arc<Store> {
    let settings = postrider_blob::Settings {
        part_size: 5 << 20,
        deadline: Duration::from_millis(1_000),
        ..Faults::settings()
    };
    faults.store(&settings)
}

/// A message of about `size` bytes that differs with `seed`: text, or noise that
/// does not shrink.
pub fn message(seed: u64, size: usize, noise: bool) -> Vec<u8> {
    let mut body = format!("Subject: message {seed}\r\nMessage-ID: <{seed}@example.test>\r\n\r\n");
    if !noise {
        while body.len() < size {
            body.push_str(&format!("Line {} of message {seed}.\r\n", body.len()));
        }
    }
    let mut body = body.into_bytes();
    if noise && body.len() < size {
        let mut rest = vec![0; size - body.len()];
        blake3::Hasher::new()
            .update(&seed.to_le_bytes())
            .finalize_xof()
            .fill(&mut rest);
        body.extend_from_slice(&rest);
    }
    body
}

/// Reads a body from start to end, chunk by chunk.
pub async fn drain(bodies: &Bodies, id: BodyId) -> Result<Vec<u8>, postrider_body::Error> {
    let mut reader = bodies.open(id).await?;
    let mut all = Vec::new();
    while let Some(chunk) = reader.next_chunk().await? {
        assert!(!chunk.is_empty() && chunk.len() <= 1 << 20);
        all.extend_from_slice(&chunk);
    }
    assert_eq!(all.len() as u64, reader.size());
    Ok(all)
}
