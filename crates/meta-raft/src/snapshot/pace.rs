//! The pace at which a snapshot is written: it reads the whole state, and nobody
//! waits for it as clients wait for what they asked.

use std::thread;
use std::time::{Duration, Instant};

/// The longest rest: a disk that is slow by itself need not be spared.
const LONGEST: Duration = Duration::from_millis(50);

/// Rests for as long as it works, so that it takes at most half of a core.
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
        thread::sleep(self.worked_since.elapsed().min(LONGEST));
        self.worked_since = Instant::now();
    }
}
