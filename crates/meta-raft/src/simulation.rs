//! What a simulation decides in place of the machine: random numbers, and how
//! long a disk takes. Holds for one thread, on which a current-thread runtime
//! runs the simulated nodes; on all other threads, and in the product, numbers
//! come from the system and nothing here takes time.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::node::Node;

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

struct World {
    dice: StdRng,
    disk: Range<Duration>,
}

/// Until it is dropped, this thread is simulated.
#[derive(Debug)]
pub struct Simulated(());

impl Drop for Simulated {
    fn drop(&mut self) {
        WORLD.with(|world| world.borrow_mut().take());
    }
}

/// Simulates from now on, on this thread: every random number of this crate and
/// of Raft comes from `seed`, and what the log writes is on disk only after a
/// time within `disk`.
pub fn begin(seed: u64, disk: Range<Duration>) -> Simulated {
    let dice = StdRng::seed_from_u64(seed);
    WORLD.with(|world| *world.borrow_mut() = Some(World { dice, disk }));
    Simulated(())
}

/// The disk under a node fails at this moment: what it has not made durable is
/// lost, and it writes nothing any more.
pub fn break_disk(node: &Node) {
    node.core().log.fail("the simulated disk is gone");
}

/// Tells what is left of a node that uses its folder, with the number of those
/// that hold it; nothing once it has ended.
pub fn remains(node: &Arc<Node>) -> impl Fn() -> Option<String> + use<> {
    let core = Arc::downgrade(node.core());
    let shared = Arc::downgrade(&node.core().shared);
    let log = node.core().log.remains();
    let node = Arc::downgrade(node);
    move || {
        let counts = [
            ("node", node.strong_count()),
            ("core", core.strong_count()),
            ("state", shared.strong_count()),
            ("log", log()),
        ];
        let left = counts.iter().filter(|(_, count)| *count > 0);
        let left: Vec<_> = left
            .map(|(part, count)| format!("{part} {count}"))
            .collect();
        (!left.is_empty()).then(|| left.join(", "))
    }
}

/// A random number.
pub(crate) fn random() -> u64 {
    let simulated = WORLD.with(|world| {
        let mut world = world.borrow_mut();
        world.as_mut().map(|world| world.dice.random())
    });
    simulated.unwrap_or_else(rand::random)
}

/// The time that the disk takes for one step; none where nothing is simulated.
pub(crate) fn disk() -> Option<Duration> {
    WORLD.with(|world| {
        let mut world = world.borrow_mut();
        let world = world.as_mut()?;
        let range = world.disk.clone();
        (!range.is_empty()).then(|| world.dice.random_range(range))
    })
}
