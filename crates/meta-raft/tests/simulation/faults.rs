//! What goes wrong, by the seed: deaths with and without a word, machines that
//! come back with less than they had, cuts in one or both directions, slow and
//! lossy networks, clocks that jump, leaders that move, members that change.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use postrider_meta_raft::{BUCKET, Node};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::bucket::{self, Mood};
use crate::hub::{Life, Weather};
use crate::member::{Member, State};
use crate::world::{Slot, World};

/// The first voters, without a bucket and with one.
const VOTERS: u64 = 3;
const WITH_BUCKET: u64 = 2;

/// The nodes and their fate.
pub(crate) struct Faults {
    world: Arc<World>,
    dice: StdRng,
    root: PathBuf,
    members: BTreeMap<u64, Member>,
    /// When those that are down come back.
    back: BTreeMap<u64, Instant>,
    /// A change of the membership that is under way.
    change: Option<JoinHandle<()>>,
    changes: u32,
    /// Moves of the leadership that were asked for.
    moves: JoinSet<()>,
}

pub(crate) fn fair() -> Weather {
    Weather {
        latency: Duration::from_millis(1)..Duration::from_millis(4),
        loss: 0.001,
    }
}

impl Faults {
    /// Three voters, or two and a bucket.
    pub(crate) async fn begin(world: &Arc<World>, root: PathBuf) -> Self {
        let mut faults = Self {
            world: Arc::clone(world),
            dice: world.dice(1),
            root,
            members: BTreeMap::new(),
            back: BTreeMap::new(),
            change: None,
            changes: 0,
            moves: JoinSet::new(),
        };
        for id in 1..=faults.voters() {
            faults.add(id).await;
            if id > 1 {
                faults.admit(id).await.unwrap();
            }
        }
        faults.wait_for_bucket().await;
        faults
    }

    fn voters(&self) -> u64 {
        match self.world.bucket {
            Some(_) => WITH_BUCKET,
            None => VOTERS,
        }
    }

    /// Waits until the bucket has its vote, where it is to have one.
    async fn wait_for_bucket(&self) {
        if self.world.bucket.is_none() {
            return;
        }
        for _ in 0..600 {
            let votes = |slot: &Slot| slot.node.health().voters.contains(&BUCKET);
            if self.world.nodes().iter().all(|(_, slot)| votes(slot)) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        self.world.fail("the bucket gets no vote".into());
    }

    async fn add(&mut self, id: u64) {
        let mut member = Member::new(id, &self.root, &self.world);
        member.start().await;
        self.members.insert(id, member);
    }

    fn admit(&self, id: u64) -> JoinHandle<()> {
        let world = Arc::clone(&self.world);
        let address = self.members[&id].address.clone();
        tokio::spawn(async move {
            let admit = |node: Arc<Node>| {
                let address = address.clone();
                async move { node.admit(id, &address).await.is_ok() }
            };
            ask_until_done(&world, admit).await;
            world.note(&format!("n{id} is admitted"));
        })
    }

    /// The addresses that clients begin with.
    pub(crate) fn seeds(&self) -> Vec<String> {
        self.members.values().map(|m| m.address.clone()).collect()
    }

    fn note(&self, text: &str) {
        self.world.note(text);
    }

    /// Lets things go wrong for so long.
    pub(crate) async fn rage(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let pause = self.dice.random_range(50..1500);
            sleep(Duration::from_millis(pause)).await;
            self.bring_back(false).await;
            if self.world.bucket.is_some() && self.dice.random_bool(0.25) {
                self.disturb_bucket();
                continue;
            }
            match self.dice.random_range(0..100) {
                0..30 => self.crash(1).await,
                30..34 => self.crash(2).await,
                34..38 => self.crash(9).await,
                38..43 => self.stop().await,
                43..63 => self.cut(),
                63..75 => {
                    self.note("heals");
                    self.world.hub.heal();
                    if let Some(bucket) = &self.world.bucket {
                        bucket.heal();
                        bucket.set(bucket::well());
                    }
                }
                75..82 => self.change_weather(),
                82..87 => self.set_clock(),
                87..91 => self.snapshot().await,
                91..95 => self.move_leader(),
                _ => self.change_members().await,
            }
        }
    }

    async fn bring_back(&mut self, all: bool) {
        let now = Instant::now();
        let due = self.back.iter().filter(|(_, at)| all || **at <= now);
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.back.remove(&id);
            self.note(&format!("n{id} comes back"));
            self.members.get_mut(&id).unwrap().start().await;
        }
    }

    fn up(&self) -> Vec<u64> {
        let up = self.members.values().filter(|member| member.is_up());
        up.map(|member| member.id).collect()
    }

    async fn crash(&mut self, count: usize) {
        let chosen = self.up().into_iter().choose_multiple(&mut self.dice, count);
        for id in chosen {
            let how = match self.dice.random_bool(0.6) {
                true => Life::Reset,
                false => Life::Silent,
            };
            let state = match self.dice.random_range(0..10) {
                0 | 1 => State::Lost,
                2..5 => State::Older,
                _ => State::Kept,
            };
            self.note(&format!("n{id} dies: {how:?}, state {state:?}"));
            self.members.get_mut(&id).unwrap().crash(how, state).await;
            let down = Duration::from_millis(self.dice.random_range(1..5000));
            self.back.insert(id, Instant::now() + down);
        }
    }

    async fn stop(&mut self) {
        let Some(id) = self.up().into_iter().choose(&mut self.dice) else {
            return;
        };
        self.note(&format!("n{id} is stopped"));
        self.members.get_mut(&id).unwrap().stop().await;
        let down = Duration::from_millis(self.dice.random_range(1..3000));
        self.back.insert(id, Instant::now() + down);
    }

    /// Cuts one node off, in one or both directions, or one link.
    fn cut(&mut self) {
        let all: Vec<String> = self.members.values().map(|m| m.address.clone()).collect();
        let one = all.iter().choose(&mut self.dice).unwrap().clone();
        let shape = self.dice.random_range(0..5);
        let other = all.iter().filter(|it| **it != one).choose(&mut self.dice);
        let other = other.unwrap().clone();
        for peer in all.iter().filter(|it| **it != one) {
            let (forth, back) = match shape {
                0 => (true, false),
                1 => (false, true),
                2 | 3 => (true, true),
                _ => (*peer == other, *peer == other),
            };
            if forth {
                self.world.hub.cut(&one, peer, true);
            }
            if back {
                self.world.hub.cut(peer, &one, true);
            }
        }
        self.note(&format!("{one} is cut off: {shape} {other}"));
    }

    /// Makes the bucket slow or unreliable, or cuts a node off from it.
    fn disturb_bucket(&mut self) {
        let Some(bucket) = &self.world.bucket else {
            return;
        };
        let mood = match self.dice.random_range(0..4) {
            0 => {
                let id = *self.members.keys().choose(&mut self.dice).unwrap();
                self.world
                    .note(&format!("n{id} is cut off from the bucket"));
                bucket.cut(id);
                return;
            }
            1 => Mood {
                latency: Duration::from_millis(20)..Duration::from_millis(250),
                errors: 0.02,
            },
            2 => Mood {
                latency: Duration::from_millis(1)..Duration::from_millis(3000),
                errors: 0.0,
            },
            _ => Mood {
                errors: 0.25,
                ..bucket::well()
            },
        };
        self.world.note(&format!("the bucket: {mood:?}"));
        bucket.set(mood);
    }

    fn change_weather(&mut self) {
        let weather = match self.dice.random_range(0..3) {
            0 => fair(),
            1 => Weather {
                latency: Duration::from_millis(1)..Duration::from_millis(80),
                loss: 0.02,
            },
            _ => Weather {
                latency: Duration::from_millis(2)..Duration::from_millis(20),
                loss: 0.1,
            },
        };
        self.note(&format!("weather: {weather:?}"));
        self.world.hub.set_weather(weather);
    }

    fn set_clock(&mut self) {
        let member = self.members.values().choose(&mut self.dice).unwrap();
        let ahead = self.dice.random_range(-120_000..120_000);
        member.clock.ahead.store(ahead, Ordering::Relaxed);
        let id = member.id;
        self.note(&format!("n{id}'s clock is {ahead} ms ahead"));
    }

    async fn snapshot(&mut self) {
        let Some(id) = self.up().into_iter().choose(&mut self.dice) else {
            return;
        };
        self.note(&format!("n{id} writes a snapshot"));
        let node = self.members[&id].node().unwrap();
        if let Err(error) = node.snapshot().await {
            self.world
                .fail(format!("n{id} writes no snapshot: {error}"));
        }
        // Goes on as in the background: it may fail, and the node may die meanwhile.
        let (world, mut life) = match self.world.slot(id) {
            Some(slot) if self.world.bucket.is_some() => (Arc::clone(&self.world), slot.life),
            _ => return,
        };
        self.moves.spawn(async move {
            let archived = tokio::select! {
                biased;
                _ = life.changed() => return,
                archived = node.archive() => archived,
            };
            let archived = archived.map_err(|error| error.to_string());
            world.note(&format!("n{id} archives: {archived:?}"));
        });
    }

    fn move_leader(&mut self) {
        let Some((id, mut slot)) = self.world.nodes().into_iter().choose(&mut self.dice) else {
            return;
        };
        let to = self.dice.random_bool(0.5).then(|| {
            let all = self.members.keys().copied();
            all.choose(&mut self.dice).unwrap()
        });
        let world = Arc::clone(&self.world);
        self.moves.spawn(async move {
            let moved = tokio::select! {
                biased;
                _ = slot.life.changed() => return,
                moved = slot.node.move_leader(to) => moved,
            };
            let moved = moved.map_err(|error| error.to_string());
            world.note(&format!("n{id} moves the leader to {to:?}: {moved:?}"));
        });
    }

    /// Lets a new node in, or takes one out for ever; at most twice.
    async fn change_members(&mut self) {
        if self.changes == 2 || self.change.as_ref().is_some_and(|it| !it.is_finished()) {
            return;
        }
        self.changes += 1;
        if self.changes == 1 {
            let id = self.voters() + 1;
            self.note(&format!("n{id} asks to be let in"));
            self.add(id).await;
            self.change = Some(self.admit(id));
            return;
        }
        let out = self.members.keys().copied().choose(&mut self.dice).unwrap();
        self.note(&format!("n{out} is to be taken out"));
        self.change = Some(self.expel(out));
    }

    fn expel(&self, id: u64) -> JoinHandle<()> {
        let world = Arc::clone(&self.world);
        tokio::spawn(async move {
            let expel = |node: Arc<Node>| async move { node.expel(id).await.is_ok() };
            ask_until_done(&world, expel).await;
            world.note(&format!("n{id} is expelled"));
            world.model.lock().unwrap().expelled = Some(id);
        })
    }

    /// Repairs everything: nothing fails any more, and nothing that was asked for
    /// is still to come.
    pub(crate) async fn end(&mut self) {
        self.note("all is repaired");
        self.world.hub.heal();
        self.world.hub.set_weather(fair());
        if let Some(bucket) = &self.world.bucket {
            bucket.heal();
            bucket.set(bucket::well());
        }
        self.bring_back(true).await;
        if let Some(mut change) = self.change.take()
            && timeout(Duration::from_secs(120), &mut change)
                .await
                .is_err()
        {
            change.abort();
            self.world
                .fail("a change of the members does not end".into());
        }
        while self.moves.join_next().await.is_some() {}
        let expelled = self.world.model.lock().unwrap().expelled;
        if let Some(id) = expelled
            && let Some(mut member) = self.members.remove(&id)
        {
            member.stop().await;
        }
    }

    /// Ends all nodes.
    pub(crate) async fn stop_all(&mut self) {
        for member in self.members.values_mut() {
            member.stop().await;
        }
    }
}

/// Asks one node after the other until one has done it. Holds none but the one
/// that it asks, and that only while it lives: an answer takes up to half a
/// minute, and a node that dies meanwhile must be gone before it is back.
async fn ask_until_done<F>(world: &World, ask: impl Fn(Arc<Node>) -> F)
where
    F: Future<Output = bool>,
{
    loop {
        for id in world.ids() {
            let Some(Slot { node, mut life }) = world.slot(id) else {
                continue;
            };
            let done = tokio::select! {
                biased;
                _ = life.changed() => continue,
                done = ask(node) => done,
            };
            if done {
                return;
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
}
