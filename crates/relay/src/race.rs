//! Which of a host's addresses answers first (RFC 8305 §5): one that is dead does
//! not keep a message waiting. Nothing is said over the connections here.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::connector::{Connector, Peer};
use crate::failure::Failure;

/// How long an address is waited for before the next one is tried as well.
const HEAD_START: Duration = Duration::from_millis(250);

/// A connection over which nothing was said yet.
#[derive(Debug)]
pub struct Reached(pub(crate) TcpStream);

/// What came of a race.
#[derive(Debug)]
pub struct Race<T> {
    /// The first that answered; None where none did.
    pub first: Option<(T, Reached)>,
    /// Those that cannot be reached.
    pub failed: Vec<(T, Failure)>,
    /// Those of which nothing is known, in their order.
    pub left: Vec<T>,
}

impl Connector {
    /// Connects to the first of `entrants` that answers. They are tried in their
    /// order, each a quarter of a second after the one before or as soon as that has
    /// failed.
    pub async fn race<T>(&self, entrants: Vec<T>, peer: impl Fn(&T) -> &Peer) -> Race<T> {
        let mut failed = BTreeMap::new();
        let mut first = self
            .run(entrants.iter().map(peer).collect(), &mut failed)
            .await;
        let mut race = Race {
            first: None,
            failed: Vec::new(),
            left: Vec::new(),
        };
        for (at, entrant) in entrants.into_iter().enumerate() {
            if let Some(failure) = failed.remove(&at) {
                race.failed.push((entrant, failure));
            } else if let Some((_, reached)) = first.take_if(|(first, _)| *first == at) {
                race.first = Some((entrant, reached));
            } else {
                race.left.push(entrant);
            }
        }
        race
    }

    /// The place of the first that answers; those that fail before are put into
    /// `failed`.
    async fn run(
        &self,
        peers: Vec<&Peer>,
        failed: &mut BTreeMap<usize, Failure>,
    ) -> Option<(usize, Reached)> {
        let mut waiting = peers.into_iter().enumerate();
        let mut trying = FuturesUnordered::new();
        loop {
            if let Some((at, peer)) = waiting.next() {
                trying.push(async move { (at, self.reach(peer).await) });
            }
            let more = waiting.len() > 0;
            let done = tokio::select! {
                done = trying.next() => done,
                () = sleep(HEAD_START), if more => continue,
            };
            match done? {
                (at, Ok(reached)) => return Some((at, reached)),
                (at, Err(failure)) => {
                    failed.insert(at, failure);
                }
            }
        }
    }
}
