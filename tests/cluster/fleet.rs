//! Clients that go from node to node and from fault to fault, and note what
//! nodes without a fault should not have done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use parking_lot::Mutex;
use postrider_tests::load::{Carry, Deliver, Drain, Pace};
use postrider_tests::{Addresses, Cluster};
use tokio::task::JoinSet;

use crate::{ALICE, BOB, SOON, inbox, until};

/// Whose maildrop is filled and emptied.
pub(crate) const CAROL: &str = "carol@example.test";
/// Senders by SMTP, and clients that change flags.
const SENDERS: usize = 3;
const FLAGGERS: usize = 2;
const CARRIERS: usize = 2;
/// Steps in a turn: then a client goes to the next node.
const TURN: usize = 40;
/// A client's rest between two steps: the cluster shares its processors with all
/// of them.
const PAUSE: Duration = Duration::from_millis(15);

/// Nodes as the clients know them.
struct Place {
    addresses: Addresses,
    up: bool,
    /// Counts faults: a session that began before one may break.
    faults: u32,
}

/// All clients and what they were told.
pub(crate) struct Fleet {
    places: Mutex<Vec<Place>>,
    troubles: Mutex<Vec<String>>,
    pace: Arc<Pace>,
    pub(crate) delivered: Deliver,
    pub(crate) carried: Carry,
    pub(crate) drained: Drain,
}

impl Fleet {
    /// Clients of all nodes of `cluster` that serve mail, which come first; working.
    pub(crate) fn launch(cluster: &Cluster) -> (Arc<Self>, JoinSet<anyhow::Result<()>>) {
        let pace = Arc::new(Pace::new(PAUSE));
        let serve = cluster
            .nodes()
            .filter(|(_, member)| member.roles().is_mail());
        let places = serve.map(|(_, member)| Place {
            addresses: member.configured().clone(),
            up: true,
            faults: 0,
        });
        let fleet = Arc::new(Self {
            places: Mutex::new(places.collect()),
            troubles: Mutex::default(),
            pace: pace.clone(),
            delivered: Deliver::new(ALICE, pace.clone()),
            carried: Carry::new(BOB, pace.clone()),
            drained: Drain::new(CAROL, pace),
        });
        let mut clients = JoinSet::new();
        for number in 0..SENDERS {
            let own = fleet.clone();
            clients.spawn(own.sail("SMTP", number, async |f: &Self, at: &Addresses| {
                f.delivered.send(at, TURN).await
            }));
        }
        for number in 0..FLAGGERS {
            let own = fleet.clone();
            let part = (number as u64, FLAGGERS as u64);
            clients.spawn(
                own.sail("flags", number, async move |f: &Self, at: &Addresses| {
                    f.delivered.flag(at, TURN, part).await
                }),
            );
        }
        for number in 0..CARRIERS {
            let own = fleet.clone();
            clients.spawn(
                own.sail("IMAP", number + 1, async |f: &Self, at: &Addresses| {
                    f.carried.work(at, TURN).await
                }),
            );
        }
        clients.spawn(
            fleet
                .clone()
                .sail("LMTP", 1, async |f: &Self, at: &Addresses| {
                    f.drained.fill(at, TURN).await
                }),
        );
        clients.spawn(
            fleet
                .clone()
                .sail("POP3", 2, async |f: &Self, at: &Addresses| {
                    f.drained.empty(at, TURN / 4).await
                }),
        );
        clients.spawn(fleet.clone().observe());
        (fleet, clients)
    }

    /// The next node after `after` that has no fault, and how many it has had.
    fn port(&self, after: usize) -> Option<(usize, u32, Addresses)> {
        let places = self.places.lock();
        let count = places.len();
        let mut others = (1..=count).map(|step| (after + step) % count);
        let number = others.find(|number| places[*number].up)?;
        let place = &places[number];
        Some((number, place.faults, place.addresses.clone()))
    }

    /// Takes turns on one node after the other until the pace is stopped.
    async fn sail(
        self: Arc<Self>,
        name: &'static str,
        first: usize,
        turn: impl AsyncFn(&Self, &Addresses) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut last = first;
        while self.pace.next().await {
            let Some((number, faults, addresses)) = self.port(last) else {
                continue;
            };
            last = number;
            if let Err(error) = turn(&self, &addresses).await {
                self.note(number, faults, &format!("{name}: {error:#}"));
            }
        }
        Ok(())
    }

    /// Notes trouble on a node, unless it had a fault meanwhile.
    fn note(&self, number: usize, faults: u32, trouble: &str) {
        let place = &self.places.lock()[number];
        if place.up && place.faults == faults {
            self.troubles
                .lock()
                .push(format!("node {}: {trouble}", number + 1));
        }
    }

    /// Looks at the senders' mailbox on one node after the other: what one has
    /// shown the next shows too, and what is new has higher UIDs.
    async fn observe(self: Arc<Self>) -> anyhow::Result<()> {
        let mut seen = BTreeSet::new();
        let mut last = 0;
        while self.pace.next().await {
            let Some((number, faults, addresses)) = self.port(last) else {
                continue;
            };
            last = number;
            let look = async {
                let mut imap = inbox(&addresses, ALICE).await?;
                imap.run("UID SEARCH ALL").await?.ok()?.search()
            };
            let uids: BTreeSet<u32> = match look.await {
                Ok(uids) => uids.into_iter().collect(),
                Err(error) => {
                    self.note(number, faults, &format!("observer: {error:#}"));
                    continue;
                }
            };
            let highest = seen.last().copied().unwrap_or_default();
            let vanished: Vec<_> = seen.difference(&uids).collect();
            ensure!(
                vanished.is_empty(),
                "node {}: seen elsewhere, but not here: UIDs {vanished:?}",
                number + 1
            );
            let late: Vec<_> = uids.difference(&seen).filter(|u| **u < highest).collect();
            ensure!(
                late.is_empty(),
                "node {}: UIDs {late:?} appeared after {highest}",
                number + 1
            );
            seen = uids;
        }
        Ok(())
    }

    /// From now on the node's sessions may break.
    pub(crate) fn fault(&self, number: usize) {
        let place = &mut self.places.lock()[number];
        place.up = false;
        place.faults += 1;
    }

    /// The node has no fault any more.
    pub(crate) fn mend(&self, number: usize) {
        self.places.lock()[number].up = true;
    }

    /// One more node.
    pub(crate) fn add(&self, addresses: Addresses) {
        self.places.lock().push(Place {
            addresses,
            up: true,
            faults: 0,
        });
    }

    /// Waits until clients of every kind have done `steps` more.
    pub(crate) async fn progress(&self, steps: usize) -> anyhow::Result<()> {
        let counts = || {
            [
                self.delivered.acknowledged(),
                self.carried.acknowledged(),
                self.drained.acknowledged(),
            ]
        };
        let before = counts();
        until("clients of every kind go on", SOON, async || {
            let all = counts().iter().zip(before).all(|(n, b)| *n >= b + steps);
            Ok(all.then_some(()))
        })
        .await
    }

    /// Lets all clients come to an end; fails if one saw what it should not.
    pub(crate) async fn land(
        &self,
        mut clients: JoinSet<anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        self.pace.stop();
        while let Some(ended) = clients.join_next().await {
            ended??;
        }
        let troubles = self.troubles.lock();
        ensure!(
            troubles.is_empty(),
            "{} times nodes without a fault refused or broke off:\n{}",
            troubles.len(),
            troubles.join("\n")
        );
        Ok(())
    }
}
