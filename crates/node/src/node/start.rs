//! What can be asked of a node that opens its metadata, should that take long: it lives
//! and is not ready, and why. A disk without room is waited for as long as it takes, and
//! whoever watches the process must not take it for one that hangs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use postrider_meta_raft::waits_for_room;
use postrider_net::{Drain, Listener};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::http::{Starting, Why};
use crate::settings::Settings;

/// A usual start takes less: who asks within it is answered by the node itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer may take to end once the metadata are open.
const END: Duration = Duration::from_secs(1);

/// Does `opening`, and answers meanwhile where `listeners` are for administrators.
pub(super) async fn answering<T>(
    settings: &Settings,
    listeners: &[Listener],
    opening: impl Future<Output = T>,
) -> anyhow::Result<T> {
    let mut opening = std::pin::pin!(opening);
    if let Ok(opened) = timeout(PATIENCE, &mut opening).await {
        return Ok(opened);
    }
    let answers = Answers::begin(settings, listeners)?;
    let opened = opening.await;
    answers.drain.start();
    answers.sessions.wait().await;
    Ok(opened)
}

/// Ends when it is dropped.
struct Answers {
    drain: Drain,
    sessions: TaskTracker,
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.drain.start();
    }
}

impl Answers {
    fn begin(settings: &Settings, listeners: &[Listener]) -> anyhow::Result<Self> {
        let answers = Self {
            drain: Drain::new(),
            sessions: TaskTracker::new(),
        };
        let metadata = settings.metadata();
        let why: Why = Arc::new(move || {
            let room = waits_for_room(&metadata);
            room.unwrap_or_else(|| "it opens its metadata".to_owned())
        });
        let administration = settings.listener.iter().zip(listeners);
        let administration =
            administration.filter(|(config, _)| config.protocol.is_administration());
        for (_, listener) in administration {
            let twin = listener.twin().context("cannot share a listener")?;
            let service = Arc::new(Starting::new(why.clone()));
            let drain = answers.drain.clone();
            answers.sessions.spawn(twin.run(service, drain, END));
        }
        answers.sessions.close();
        Ok(answers)
    }
}
