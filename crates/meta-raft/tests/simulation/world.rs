//! What all parts of a simulation share: the nodes that are up, what happened
//! so far (as a trace and its hash), and what went wrong.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use openraft::async_runtime::WatchReceiver;
use postrider_meta_raft::Node;
use postrider_types::Random;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::bucket::Bucket;
use crate::hub::Hub;
use crate::model::Model;

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) hub: Hub,
    /// Where two nodes and a bucket are simulated in place of three nodes.
    pub(crate) bucket: Option<Arc<Bucket>>,
    pub(crate) zero: Instant,
    /// The clients' work is over.
    pub(crate) over: AtomicBool,
    pub(crate) model: Mutex<Model>,
    nodes: Mutex<BTreeMap<u64, Slot>>,
    moment: AtomicU64,
    leaders: Mutex<BTreeMap<u64, u64>>,
    trace: Mutex<blake3::Hasher>,
    failures: Mutex<Vec<String>>,
    verbose: bool,
}

/// A node that is up, and a sign that ends when it dies.
#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) node: Arc<Node>,
    pub(crate) life: watch::Receiver<()>,
}

impl World {
    pub(crate) fn new(seed: u64, hub: Hub, bucket: Option<Arc<Bucket>>) -> Arc<Self> {
        Arc::new(Self {
            seed,
            hub,
            bucket,
            zero: Instant::now(),
            over: AtomicBool::new(false),
            model: Mutex::default(),
            nodes: Mutex::default(),
            moment: AtomicU64::new(0),
            leaders: Mutex::default(),
            trace: Mutex::new(blake3::Hasher::new()),
            failures: Mutex::default(),
            verbose: std::env::var_os("TRACE").is_some(),
        })
    }

    /// Randomness for one part of the simulation.
    pub(crate) fn dice(&self, part: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_mul(1_000_003).wrapping_add(part))
    }

    /// A number that ascends with everything that happens.
    pub(crate) fn moment(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn note(&self, text: &str) {
        let line = format!("{:>7} {text}\n", self.zero.elapsed().as_millis());
        self.trace.lock().unwrap().update(line.as_bytes());
        if self.verbose {
            print!("{line}");
        }
    }

    /// The hash of all that was noted.
    pub(crate) fn hash(&self) -> String {
        self.trace.lock().unwrap().finalize().to_hex()[..16].to_owned()
    }

    pub(crate) fn fail(&self, text: String) {
        self.note(&format!("WRONG: {text}"));
        self.failures.lock().unwrap().push(text);
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().clone()
    }

    /// The ids of the nodes that are up.
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.nodes.lock().unwrap().keys().copied().collect()
    }

    /// A node, if it is up.
    pub(crate) fn slot(&self, id: u64) -> Option<Slot> {
        self.nodes.lock().unwrap().get(&id).cloned()
    }

    /// The nodes that are up. Not to be held while one of them may die: it ends
    /// only once nobody has it any more.
    pub(crate) fn nodes(&self) -> Vec<(u64, Slot)> {
        let nodes = self.nodes.lock().unwrap();
        nodes.iter().map(|(id, slot)| (*id, slot.clone())).collect()
    }

    /// A node is up. Its death is told by the answer's end.
    pub(crate) fn up(self: &Arc<Self>, id: u64, node: &Arc<Node>) -> watch::Sender<()> {
        let (sender, life) = watch::channel(());
        let node = Arc::clone(node);
        let mut metrics = node.raft().metrics();
        self.nodes.lock().unwrap().insert(id, Slot { node, life });
        let world = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                {
                    let metrics = metrics.borrow_watched();
                    let vote = &metrics.vote;
                    if vote.committed {
                        world.leads(vote.leader_id.term, vote.leader_id.voted_for);
                    }
                }
                if metrics.changed().await.is_err() {
                    return;
                }
            }
        });
        sender
    }

    pub(crate) fn down(&self, id: u64) {
        self.nodes.lock().unwrap().remove(&id);
    }

    /// A term has one leader.
    fn leads(&self, term: u64, leader: u64) {
        let before = {
            let mut leaders = self.leaders.lock().unwrap();
            match leaders.get(&term) {
                Some(before) => *before,
                None => {
                    leaders.insert(term, leader);
                    drop(leaders);
                    self.note(&format!("n{leader} leads in term {term}"));
                    return;
                }
            }
        };
        if before != leader {
            self.fail(format!(
                "term {term} has two leaders: {before} and {leader}"
            ));
        }
    }

    /// How many terms had a leader.
    pub(crate) fn terms(&self) -> usize {
        self.leaders.lock().unwrap().len()
    }
}

/// Randomness for ids.
pub(crate) struct Ids(pub(crate) Mutex<StdRng>);

impl Random for Ids {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap().fill_bytes(bytes);
    }
}
