//! How often the log says the same again: what lasts is told at once, and then each
//! minute at most.

use std::time::Duration;

use tokio::time::Instant;

/// Between two words about the same.
const PAUSE: Duration = Duration::from_secs(60);

/// When something was last told.
#[derive(Debug, Default)]
pub(crate) struct Notice(Option<Instant>);

impl Notice {
    /// Whether it is time to tell it (again): then it counts as told.
    pub(crate) fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|told| told.elapsed() >= PAUSE);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_told_once_a_minute() {
        let mut notice = Notice::default();
        let mut told = 0;
        // Ten minutes, as often as heartbeats come.
        for _ in 0..10 * 60 * 8 {
            told += u32::from(notice.is_due());
            tokio::time::advance(Duration::from_millis(125)).await;
        }
        assert_eq!(told, 10);
    }
}
