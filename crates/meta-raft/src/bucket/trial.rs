//! Whether the store can be relied on for a vote. Each node tries it after its start,
//! before it speaks in the bucket's place: which store that is, is a setting, so there
//! may be another since the last start, or behind one of the two nodes alone. That it
//! passed once, when the bucket became a voter, says nothing of that.

use std::sync::atomic::Ordering;
use std::time::Duration;

use postrider_blob::Error as StoreError;

use super::tend::{AGAIN, TEND};
use super::{Bucket, LIMIT, Unanswered};

/// What the trial has shown since this node was started.
#[derive(Default)]
pub(super) enum Trial {
    /// Nothing yet.
    #[default]
    Due,
    /// The store can be relied on.
    Passed,
    /// It cannot, for this reason.
    Failed(Unanswered),
}

impl Bucket {
    /// Whether this node may speak in the bucket's place.
    pub(super) fn is_relied_on(&self) -> Result<(), Unanswered> {
        match &*self.0.trial.lock() {
            Trial::Passed => Ok(()),
            Trial::Failed(reason) => Err(reason.clone()),
            Trial::Due => Err("the object store is still to be tried since the start".into()),
        }
    }

    /// Why the store cannot be relied on, where that is known.
    pub(super) fn unreliable(&self) -> Option<Unanswered> {
        match &*self.0.trial.lock() {
            Trial::Failed(reason) => Some(reason.clone()),
            Trial::Due | Trial::Passed => None,
        }
    }

    /// Tries the store.
    pub(super) async fn try_store(&self) -> Result<(), Unanswered> {
        let tried = self.0.store.check_registers(LIMIT).await;
        match &tried {
            Ok(took) => {
                let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                self.0.write_ms.store(millis.max(1), Ordering::Relaxed);
                *self.0.trial.lock() = Trial::Passed;
            }
            Err(error @ StoreError::Invalid(_)) => {
                *self.0.trial.lock() = Trial::Failed(error.to_string());
                // Nothing is written over what it seemed to hold.
                *self.0.known.lock().await = None;
            }
            // One that does not answer has shown nothing.
            Err(_) => {}
        }
        tried.map(drop).map_err(|error| error.to_string())
    }

    /// Tries the store of a bucket that has a vote. The pause before the next try, if
    /// it does not pass.
    pub(super) async fn try_voter(&self) -> Duration {
        match self.try_store().await {
            Ok(()) => {
                *self.0.problem.lock() = None;
                TEND
            }
            Err(reason) => {
                self.complain(reason);
                match self.unreliable() {
                    Some(_) => AGAIN,
                    None => TEND,
                }
            }
        }
    }

    /// Notes why it is not as it should be; in the log once for as long as that stays.
    pub(super) fn complain(&self, reason: Unanswered) {
        let mut problem = self.0.problem.lock();
        if problem.as_ref() != Some(&reason) {
            tracing::warn!(reason, "the vote in the bucket is not as it should be");
        }
        *problem = Some(reason);
    }
}
