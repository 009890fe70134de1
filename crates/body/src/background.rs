//! The pace of a background job: pauses that end at shutdown, longer and longer
//! ones while it fails, and one line in the log for each change.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Error;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

pub(crate) struct Loop {
    name: &'static str,
    shutdown: CancellationToken,
    /// The pause after the last failure; None while all is well.
    failing: Option<Duration>,
}

impl Loop {
    pub(crate) fn new(name: &'static str, shutdown: CancellationToken) -> Self {
        Self {
            name,
            shutdown,
            failing: None,
        }
    }

    /// Waits before the next step: as long as the last one says, or longer and
    /// longer while it fails. False when it is time to stop.
    pub(crate) async fn pause(&mut self, step: Result<Duration, Error>) -> bool {
        let pause = match (step, self.failing) {
            (Ok(pause), failing) => {
                if failing.is_some() {
                    tracing::info!(job = self.name, "goes on");
                }
                self.failing = None;
                pause
            }
            (Err(error), None) => {
                tracing::warn!(job = self.name, %error, "is held up; it is tried again");
                *self.failing.insert(FIRST)
            }
            (Err(_), Some(last)) => *self.failing.insert((last * 2).min(LONGEST)),
        };
        tokio::select! {
            () = self.shutdown.cancelled() => false,
            () = tokio::time::sleep(pause) => !self.shutdown.is_cancelled(),
        }
    }
}
