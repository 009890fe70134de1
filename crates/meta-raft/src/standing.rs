//! Whether a majority answers. Asks for a linearizable read now and then and
//! remembers when one was last answered: after a while without, none is expected
//! soon, and whoever may be served old answers gets them. Decides nothing else.

use std::time::Duration;

use postrider_meta::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// Between two questions while a majority answers.
const CALM: Duration = Duration::from_secs(1);
/// While none does.
const WATCHFUL: Duration = Duration::from_millis(250);

/// Whether a majority answers, as of the last question.
pub(crate) struct Standing {
    lacking: watch::Sender<bool>,
    patience: Duration,
}

impl Standing {
    /// One that finds out that there is no majority after three quarters of the
    /// time for a command: a change of the leader is over by then, and who has
    /// asked for a read has not been refused yet.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            lacking: watch::channel(false).0,
            patience: timeout / 4 * 3,
        }
    }

    /// Whether no majority has answered for long.
    pub(crate) fn lacks_majority(&self) -> bool {
        *self.lacking.borrow()
    }

    /// Is ready once no majority has answered for long.
    pub(crate) async fn majority_lost(&self) {
        let mut lacking = self.lacking.subscribe();
        // Never an error: the sender is in `self`.
        let _ = lacking.wait_for(|lacking| *lacking).await;
    }

    /// Keeps it true until it is dropped. `probe` is a linearizable read, `changed`
    /// is called after each change.
    pub(crate) async fn keep<F>(&self, probe: impl Fn() -> F, changed: impl Fn())
    where
        F: Future<Output = Result<(), Error>>,
    {
        let mut heard = Instant::now();
        loop {
            let mut probing = std::pin::pin!(probe());
            let answered = tokio::select! {
                answered = &mut probing => answered,
                () = sleep_until(heard + self.patience), if !self.lacks_majority() => {
                    self.set(true, &changed);
                    probing.await
                }
            };
            match answered {
                Ok(()) => {
                    heard = Instant::now();
                    self.set(false, &changed);
                    sleep(CALM).await;
                }
                Err(_) => sleep(WATCHFUL).await,
            }
        }
    }

    fn set(&self, lacking: bool, changed: &impl Fn()) {
        let was = self.lacking.send_replace(lacking);
        match (was, lacking) {
            (false, true) => tracing::error!(
                "no majority of the nodes with metadata answers: nothing can be stored; see \
                 `postrider cluster status`"
            ),
            (true, false) => tracing::info!("a majority of the nodes with metadata answers again"),
            _ => return,
        }
        changed();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_majority_is_missed_after_a_while_and_found_again_at_once() {
        let standing = Standing::new(Duration::from_secs(10));
        let answers = watch::channel(true).0;
        let told = Mutex::new(Vec::new());
        let began = Instant::now();
        let probe = || async {
            // Waits like a read does, and gives up after the time of a command.
            let mut answers = answers.subscribe();
            let found = answers.wait_for(|answers| *answers);
            match tokio::time::timeout(Duration::from_secs(10), found).await {
                Ok(_) => Ok(()),
                Err(_) => Err(Error::Unavailable("no leader".into())),
            }
        };
        let changed = || told.lock().unwrap().push(standing.lacks_majority());
        let story = async {
            sleep(Duration::from_secs(60)).await;
            assert!(!standing.lacks_majority());
            answers.send_replace(false);
            standing.majority_lost().await;
            let missed = began.elapsed().as_secs_f64() - 60.0;
            assert!((6.5..=8.5).contains(&missed), "{missed}");
            sleep(Duration::from_secs(33)).await;
            assert!(standing.lacks_majority());
            answers.send_replace(true);
            sleep(2 * WATCHFUL).await;
            assert!(!standing.lacks_majority());
        };
        tokio::select! {
            () = standing.keep(probe, changed) => unreachable!(),
            () = story => {}
        }
        assert_eq!(*told.lock().unwrap(), [true, false]);
    }
}
