//! A client: sends commands through nodes and over the network, again under the
//! same id where it was told nothing, and reads back what anybody was told.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use postrider_meta::command::{Accept, CreateMailbox, Delivery, Expunge, Store, StoreMode};
use postrider_meta::{
    Command, Content, Encoding, Error, Executed, Meta, NewBody, Outcome, Refusal, Token, UidRanges,
};
use postrider_meta_raft::Remote;
use postrider_rpc::{Channels, Timeouts, Tls};
use postrider_types::{AccountId, BodyId, Clock, CommandId, Flag, Flags, MailboxId};
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::sleep;

use crate::member::WallClock;
use crate::model::{Fate, Message};
use crate::world::{Ids, Slot, World};

pub(crate) struct Client {
    pub(crate) number: u64,
    pub(crate) world: Arc<World>,
    pub(crate) dice: StdRng,
    ids: Ids,
    clock: WallClock,
    pub(crate) remote: Remote,
    /// A command that was acknowledged, to be sent once more.
    before: Option<(CommandId, Command, String)>,
}

/// What a command came to.
type Told = Option<(Result<Outcome, Refusal>, Token)>;

impl Client {
    pub(crate) fn new(world: &Arc<World>, number: u64, seeds: Vec<String>) -> Self {
        let connector = world.hub.client(&format!("c{number}"));
        let channels = Channels::new(Tls::Off, Timeouts::default()).over(connector);
        Self {
            number,
            world: Arc::clone(world),
            dice: world.dice(100 + number),
            ids: Ids(Mutex::new(world.dice(200 + number))),
            clock: WallClock::new(world.zero),
            remote: Remote::new(channels, seeds, Duration::from_secs(8)),
            before: None,
        }
    }

    /// Works until the world is over.
    pub(crate) async fn run(mut self) {
        while !self.world.over.load(Ordering::Relaxed) {
            let pause = self.dice.random_range(5..150);
            sleep(Duration::from_millis(pause)).await;
            match self.dice.random_range(0..100) {
                0..45 => self.deliver().await,
                45..60 => self.flag().await,
                60..67 => self.expunge().await,
                67..75 => self.be_refused().await,
                75..80 => self.repeat().await,
                _ => self.read().await,
            }
        }
    }

    /// How it reaches nodes over the network.
    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    pub(crate) fn id(&self) -> CommandId {
        CommandId::new(self.clock.now(), &self.ids)
    }

    /// Executes once, by a node or over the network.
    async fn once(&mut self, id: CommandId, command: Command) -> Result<Executed, Error> {
        let Some(Slot { node, mut life }) = self.choose(0.5) else {
            return self.remote.execute(id, command).await;
        };
        tokio::select! {
            biased;
            // Ends with an error when the node dies.
            _ = life.changed() => Err(Error::Unavailable("the node died".into())),
            executed = node.execute(id, command) => executed,
        }
    }

    /// A node to ask directly. None, which has a probability of `remote` at
    /// least: ask over the network.
    pub(crate) fn choose(&mut self, remote: f64) -> Option<Slot> {
        let ids = self.world.ids();
        if ids.is_empty() || self.dice.random_bool(remote) {
            return None;
        }
        self.world.slot(ids[self.dice.random_range(0..ids.len())])
    }

    /// Executes, again and again under the same id for a while. Nothing: its
    /// fate is unknown.
    pub(crate) async fn execute(&mut self, id: CommandId, command: Command) -> Told {
        let asked = self.world.moment();
        let tries = self.dice.random_range(1..5);
        for _ in 0..tries {
            match self.once(id, command.clone()).await {
                Ok(Executed { verdict, token }) => {
                    let told = self.world.moment();
                    let mut model = self.world.model.lock().unwrap();
                    model.acks.push((asked, told, token));
                    drop(model);
                    let text = format!("{verdict:?}");
                    self.before = Some((id, command, text));
                    return Some((verdict, token));
                }
                Err(Error::Failed(text)) => {
                    let name = command.name();
                    self.world.fail(format!("{name} failed: {text}"));
                }
                Err(Error::Unavailable(text) | Error::Full(text)) => {
                    let number = self.number;
                    self.world.note(&format!("c{number} is not told: {text}"));
                }
            }
            let pause = self.dice.random_range(20..600);
            sleep(Duration::from_millis(pause)).await;
        }
        None
    }

    fn accept(&mut self, account: AccountId, budget: u64) -> (BodyId, Accept) {
        let length = self.dice.random_range(10..3000);
        let bytes = Bytes::from(vec![b'a' + (self.number % 26) as u8; length]);
        let now = self.clock.now();
        let id = BodyId::new(now, &self.ids);
        let accept = Accept {
            body: NewBody {
                id,
                size: length as u64,
                checksum: *blake3::hash(&bytes).as_bytes(),
                encoding: Encoding::Identity,
                content: Content::Inline(bytes),
                summary: Bytes::from_static(b"summary"),
                inline_budget: budget,
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
        };
        (id, accept)
    }

    fn place(&mut self) -> (usize, AccountId, MailboxId) {
        let model = self.world.model.lock().unwrap();
        let at = self.dice.random_range(0..model.accounts.len());
        let (account, mailbox) = model.accounts[at];
        (at, account, mailbox)
    }

    /// Begins a message whose fate is not known yet.
    fn begin(&self, account: usize, body: BodyId) -> usize {
        let asked = self.world.moment();
        let mut model = self.world.model.lock().unwrap();
        model.messages.push(Message {
            body,
            account,
            owner: self.number,
            asked,
            told: 0,
            accepted: Fate::Unknown,
            uid: 0,
            token: Token(0),
            flags: Flags::default(),
            perhaps: Vec::new(),
            expunged: Fate::No,
            version: 0,
            busy: true,
        });
        model.messages.len() - 1
    }

    fn change(&self, at: usize, change: impl FnOnce(&mut Message)) {
        let mut model = self.world.model.lock().unwrap();
        let message = &mut model.messages[at];
        message.version += 1;
        change(message);
    }

    async fn deliver(&mut self) {
        let (at, account, _) = self.place();
        let (body, accept) = self.accept(account, u64::MAX);
        let message = self.begin(at, body);
        let told = self.execute(self.id(), accept.into()).await;
        let (number, moment) = (self.number, self.world.moment());
        let what = match told {
            Some((Ok(Outcome::Accept(accepted)), token)) => {
                let delivered = *accepted.deliveries[0].as_ref().expect("it has room");
                self.change(message, |message| {
                    message.accepted = Fate::Yes;
                    message.told = moment;
                    message.uid = delivered.uid.0;
                    message.token = token;
                    message.busy = false;
                });
                format!("has UID {} in {at}, {token:?}", delivered.uid.0)
            }
            Some((verdict, _)) => {
                self.world.fail(format!("a delivery answered {verdict:?}"));
                return;
            }
            None => {
                self.change(message, |message| message.busy = false);
                format!("knows nothing of a delivery in {at}")
            }
        };
        self.world.note(&format!("c{number} {what}"));
    }

    /// One of its own messages that are there for certain.
    fn own(&mut self) -> Option<(usize, AccountId, MailboxId, u32)> {
        let mut model = self.world.model.lock().unwrap();
        let own = model.messages.iter().enumerate().filter(|(_, message)| {
            message.owner == self.number
                && message.accepted == Fate::Yes
                && message.expunged == Fate::No
        });
        let own: Vec<usize> = own.map(|(at, _)| at).collect();
        let at = *own.get(self.dice.random_range(0..own.len().max(1)))?;
        let message = &mut model.messages[at];
        message.busy = true;
        message.version += 1;
        let (account, uid) = (message.account, message.uid);
        let (account, mailbox) = model.accounts[account];
        Some((at, account, mailbox, uid))
    }

    async fn flag(&mut self) {
        let Some((at, account, mailbox, uid)) = self.own() else {
            return;
        };
        let mut flags = Flags::default();
        for word in ["one", "two", "three"] {
            if self.dice.random_bool(0.5) {
                flags.insert(Flag::keyword(word).unwrap());
            }
        }
        let store = Store {
            account,
            mailbox,
            uids: UidRanges(vec![uid..=uid]),
            mode: StoreMode::Replace,
            flags: flags.clone(),
            unchanged_since: None,
        };
        let told = self.execute(self.id(), store.into()).await;
        self.change(at, |message| {
            message.busy = false;
            match &told {
                Some((Ok(_), _)) => message.flags = flags.clone(),
                _ => message.perhaps.push(flags.clone()),
            }
        });
        if let Some((Err(refusal), _)) = &told {
            self.world.fail(format!("a store was refused: {refusal}"));
        }
        let (number, told) = (self.number, told.is_some());
        self.world
            .note(&format!("c{number} stores {flags:?} for {uid}: {told}"));
    }

    async fn expunge(&mut self) {
        let Some((at, account, mailbox, uid)) = self.own() else {
            return;
        };
        let expunge = Expunge {
            account,
            mailbox,
            uids: UidRanges(vec![uid..=uid]),
            only_deleted: false,
            limit: 10,
        };
        let told = self.execute(self.id(), expunge.into()).await;
        self.change(at, |message| {
            message.busy = false;
            message.expunged = match &told {
                Some((Ok(_), _)) => Fate::Yes,
                _ => Fate::Unknown,
            };
        });
        match &told {
            Some((Ok(Outcome::Expunge(done)), _)) if done.uids.len() == 1 => {}
            None => {}
            other => self.world.fail(format!("an expunge answered {other:?}")),
        }
        let (number, told) = (self.number, told.is_some());
        self.world
            .note(&format!("c{number} expunges {uid}: {told}"));
    }

    /// Asks for what must be refused, and has no effect.
    async fn be_refused(&mut self) {
        let (at, account, _) = self.place();
        let told = match self.dice.random_range(0..3) {
            0 => {
                let (body, accept) = self.accept(account, 0);
                let message = self.begin(at, body);
                self.change(message, |message| message.accepted = Fate::No);
                self.execute(self.id(), accept.into()).await
            }
            1 => {
                let (body, accept) = self.accept(AccountId(4_711), u64::MAX);
                let message = self.begin(at, body);
                self.change(message, |message| message.accepted = Fate::No);
                let told = self.execute(self.id(), accept.into()).await;
                told.map(|(verdict, token)| match verdict {
                    Ok(Outcome::Accept(mut it)) => match it.deliveries.remove(0) {
                        Ok(place) => (Ok(Outcome::ClaimRecent(place.uid)), token),
                        Err(refusal) => (Err(refusal), token),
                    },
                    other => (other, token),
                })
            }
            _ => {
                let create = CreateMailbox {
                    account,
                    name: "INBOX".into(),
                    special_use: None,
                };
                self.execute(self.id(), create.into()).await
            }
        };
        match told {
            Some((Err(refusal), _)) => {
                self.world.model.lock().unwrap().refused += 1;
                let number = self.number;
                self.world.note(&format!("c{number} is refused: {refusal}"));
            }
            Some((Ok(outcome), _)) => {
                let text = format!("what must be refused answered {outcome:?}");
                self.world.fail(text);
            }
            None => {}
        }
    }

    /// Sends a command once more: it answers the same.
    async fn repeat(&mut self) {
        let Some((id, command, text)) = self.before.take() else {
            return;
        };
        if let Ok(executed) = self.once(id, command).await {
            let again = format!("{:?}", executed.verdict);
            if again != text {
                let wrong = format!("a repeated command answered {again}, before {text}");
                self.world.fail(wrong);
            }
        }
    }
}
