//! The pace at which a snapshot is written: it reads the whole state, and nobody
//! waits for it as clients wait for what they asked.

use std::thread;
use std::time::{Duration, Instant};

/// How many times as long as it worked it rests.
const REST: u32 = 3;
/// The longest rest: a disk that is slow by itself need not be spared.
const LONGEST: Duration = Duration::from_millis(150);

/// Rests three times as long as it works, so that it takes at most a quarter of a
/// core: of two cores that serve at their limit, half of one was felt by readers.
pub(super) struct Pace {
    worked_since: Instant,
}

impl Pace {
    /// Begins to work.
    pub(super) fn new() -> Self {
        Self {
            worked_since: Instant::now(),
        }
    }

    /// Rests, then begins to work again. Blocks.
    pub(super) fn rest(&mut self) {
        thread::sleep((self.worked_since.elapsed() * REST).min(LONGEST));
        self.worked_since = Instant::now();
    }
}
