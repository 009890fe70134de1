//! Clients of every protocol that go from node to node, whatever is wrong with
//! them, and note what they are told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use parking_lot::Mutex;
use postrider_tests::load::{Carry, Deliver, Drain, Kind, Outcome, Outward, Pace};
use postrider_tests::{Addresses, Cluster};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Clients of each kind.
const SENDERS: usize = 2;
const FLAGGERS: usize = 2;
const CARRIERS: usize = 3;
const FILLERS: usize = 2;
const OUTWARD: usize = 2;
/// Steps in a turn: then a client goes to the next place.
const TURN: usize = 12;
/// A client's rest between two steps: hosts and clients share the processors.
const PAUSE: Duration = Duration::from_millis(40);
/// How long clients may take to come to an end: one that waits for a node that
/// does not answer gives up after half a minute, and may do so several times.
const LANDING: Duration = Duration::from_secs(150);
/// How long after all was mended clients of all kinds must be served again.
const SOON: Duration = Duration::from_secs(90);

/// All clients of an episode and what they were told.
pub(crate) struct Fleet {
    /// HAProxy, then the nodes.
    places: Vec<Addresses>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) users: [String; 3],
    pub(crate) delivered: Deliver,
    pub(crate) carried: Carry,
    pub(crate) drained: Drain,
    pub(crate) outward: Outward,
    /// What the last client of each kind complained about.
    complaint: Mutex<String>,
}

/// The clients at work.
pub(crate) type Crew = JoinSet<()>;

impl Fleet {
    /// Makes the episode's accounts and sets all clients to work.
    pub(crate) async fn launch(
        cluster: &Cluster,
        places: Vec<Addresses>,
        episode: usize,
    ) -> anyhow::Result<(Arc<Self>, Crew)> {
        let users = ["alice", "bob", "carol"].map(|name| format!("{name}-{episode}@example.test"));
        for user in &users {
            cluster.node(0).account(user).await?;
            let limits = ["--quota", "100GiB", "--quota-messages", "1000000"];
            let arguments = [&["account", "set", user], &limits[..]].concat();
            cluster.node(0).cli(&arguments).await?;
        }
        let pace = Arc::new(Pace::new(PAUSE));
        let fleet = Arc::new(Self {
            places,
            delivered: Deliver::new(&users[0], pace.clone()),
            carried: Carry::new(&users[1], pace.clone()),
            drained: Drain::new(&users[2], pace.clone()),
            outward: Outward::new(&format!("carl-{episode}@outside.test"), pace.clone()),
            users,
            pace,
            complaint: Mutex::default(),
        });
        let mut crew = JoinSet::new();
        fleet.board(&mut crew);
        Ok((fleet, crew))
    }

    fn board(self: &Arc<Self>, crew: &mut Crew) {
        for number in 0..SENDERS {
            crew.spawn(self.clone().sail(number, async |f: &Self, at: &Addresses| {
                f.delivered.send(at, TURN).await
            }));
        }
        // Of whom one stays at each place: where all hang at a node that does not
        // answer, nobody sees that the others do.
        for place in 0..self.places.len() {
            let fleet = self.clone();
            crew.spawn(fleet.anchor(place, async |f: &Self, at: &Addresses| {
                f.delivered.send(at, TURN).await
            }));
        }
        for number in 0..FLAGGERS {
            let part = (number as u64, FLAGGERS as u64);
            crew.spawn(
                self.clone()
                    .sail(number, async move |f: &Self, at: &Addresses| {
                        f.delivered.flag(at, TURN, part).await
                    }),
            );
        }
        for number in 0..CARRIERS {
            crew.spawn(self.clone().sail(number, async |f: &Self, at: &Addresses| {
                f.carried.work(at, TURN).await
            }));
        }
        for number in 0..FILLERS {
            crew.spawn(self.clone().sail(number, async |f: &Self, at: &Addresses| {
                f.drained.fill(at, TURN).await
            }));
        }
        for number in 0..OUTWARD {
            crew.spawn(self.clone().sail(number, async |f: &Self, at: &Addresses| {
                f.outward.send(at, TURN).await
            }));
        }
        crew.spawn(self.clone().sail(1, async |f: &Self, at: &Addresses| {
            f.drained.empty(at, TURN / 4).await
        }));
        crew.spawn(self.clone().observe());
    }

    /// Takes turns at one place after the other until the pace is stopped.
    async fn sail(
        self: Arc<Self>,
        first: usize,
        turn: impl AsyncFn(&Self, &Addresses) -> anyhow::Result<()>,
    ) {
        let mut number = first;
        while self.pace.next().await {
            self.turn(number, &turn).await;
            number += 1;
        }
    }

    /// Takes turns at one place.
    async fn anchor(
        self: Arc<Self>,
        place: usize,
        turn: impl AsyncFn(&Self, &Addresses) -> anyhow::Result<()>,
    ) {
        while self.pace.next().await {
            self.turn(place, &turn).await;
        }
    }

    async fn turn(
        &self,
        number: usize,
        turn: &impl AsyncFn(&Self, &Addresses) -> anyhow::Result<()>,
    ) {
        let place = &self.places[number % self.places.len()];
        if let Err(error) = turn(self, place).await {
            *self.complaint.lock() = format!("{error:#}");
        }
    }

    /// Looks at the senders' mailbox at one place after the other: what one has
    /// shown the next shows too, and what is new has higher UIDs.
    async fn observe(self: Arc<Self>) {
        let mut seen = BTreeSet::new();
        let mut number = 0;
        while self.pace.next().await {
            let place = number % self.places.len();
            number += 1;
            let look = async {
                let mut imap = self.places[place]
                    .imap_login(&self.users[0], "postrider")
                    .await?;
                imap.run("SELECT INBOX").await?.ok()?;
                imap.run("UID SEARCH ALL").await?.ok()?.search()
            };
            let Ok(uids) = look.await else {
                continue;
            };
            let uids: BTreeSet<u32> = uids.into_iter().collect();
            let highest = seen.last().copied().unwrap_or_default();
            let vanished: Vec<_> = seen.difference(&uids).collect();
            if !vanished.is_empty() {
                let wrong = format!("place {place}: seen elsewhere, not here: UIDs {vanished:?}");
                self.pace.journal().wrong(&wrong);
            }
            let late: Vec<_> = uids.difference(&seen).filter(|u| **u < highest).collect();
            if !late.is_empty() {
                let wrong = format!("place {place}: UIDs {late:?} appeared after {highest}");
                self.pace.journal().wrong(&wrong);
            }
            seen.extend(uids);
        }
    }

    /// Acknowledged operations of each kind.
    fn acknowledged(&self) -> [u64; 7] {
        let counts = self.pace.journal().counts();
        let of = |kind| {
            let count = counts.get(&(kind, Outcome::Acknowledged));
            count.copied().unwrap_or_default()
        };
        [
            of(Kind::Message),
            of(Kind::Maildrop),
            of(Kind::Outward),
            of(Kind::Append),
            of(Kind::Flags),
            of(Kind::Move),
            of(Kind::Delete),
        ]
    }

    /// Waits until operations of every kind were acknowledged `steps` times more.
    pub(crate) async fn progress(&self, steps: u64) -> anyhow::Result<()> {
        let before = self.acknowledged();
        let deadline = Instant::now() + SOON;
        loop {
            let now = self.acknowledged();
            if now.iter().zip(before).all(|(n, b)| *n >= b + steps) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "clients are not served again: {before:?} before, {now:?} now; {}",
                self.complaint.lock()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets all clients come to an end.
    pub(crate) async fn land(&self, mut crew: Crew) -> anyhow::Result<()> {
        self.pace.stop();
        let landed = async {
            while let Some(ended) = crew.join_next().await {
                ended?;
            }
            Ok(())
        };
        let landed = timeout(LANDING, landed).await;
        landed.context("clients do not come to an end")?
    }
}
