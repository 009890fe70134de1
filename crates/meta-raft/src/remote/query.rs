//! Queries: to all voters in turn. Where one does not answer soon, the next is
//! asked as well and the first answer counts; who was silent is left out until
//! it answers again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use postrider_meta::{Answer, Error as MetaError, ReadAt, Token};
use tokio::time::{Instant, sleep_until};

use super::call::{Missed, Voter};
use super::voters::Address;
use super::{Shared, Trail};

/// Without an answer for this long the next voter is asked as well.
const QUIET: Duration = Duration::from_millis(400);
/// Then somebody else may be asked as soon as the voter is left out.
const LOOK: Duration = Duration::from_millis(100);
/// A second try costs as much as this many first ones earn: a slow cluster is
/// not given more than a tenth of work on top.
const PRICE: i32 = 10;
/// The most that is saved up.
pub(super) const MOST_SPARE: i32 = 32 * PRICE;

type Tried = (Address, Instant, Result<(Answer, Token), Missed>);

impl Shared {
    /// Answers an encoded query.
    pub(super) async fn query(
        self: &Arc<Self>,
        query: Bytes,
        at: ReadAt,
    ) -> Result<(Answer, Token), MetaError> {
        let deadline = self.deadline();
        let mut trail = Trail::default();
        loop {
            match self.round(&query, at, deadline, &mut trail).await {
                Some(done) => return done,
                None if Instant::now() >= deadline => return Err(trail.late(self.timeout)),
                None => self.pause(deadline).await,
            }
        }
    }

    /// Asks each voter at most once. None: no answer.
    async fn round(
        &self,
        query: &Bytes,
        at: ReadAt,
        deadline: Instant,
        trail: &mut Trail,
    ) -> Option<Result<(Answer, Token), MetaError>> {
        let mut order = self.voters.order().into_iter();
        let mut tries = FuturesUnordered::new();
        // Who is being asked, and since when.
        let mut open: Vec<(Address, Instant)> = Vec::new();
        let mut broken = None;
        let first = order.next()?;
        let began = Instant::now();
        open.push((first.clone(), began));
        tries.push(self.ask(first, query.clone(), at, deadline));
        let mut look = began + QUIET;
        loop {
            let mut next = None;
            tokio::select! {
                biased;
                Some((address, began, answer)) = tries.next() => {
                    open.retain(|(other, _)| *other != address);
                    match answer {
                        Ok(answer) => {
                            self.answered(&open, began);
                            return Some(Ok(answer));
                        }
                        Err(missed) => {
                            trail.note(&address, &missed.failure);
                            if !missed.answered {
                                self.voters.leave_out(&address, &missed.failure);
                            }
                            // What is wrong with one voter's disk or version need
                            // not be wrong with another's.
                            if !missed.passing() {
                                broken = Some(missed);
                            }
                            next = order.next();
                            if next.is_none() && open.is_empty() {
                                return broken.map(|missed| Err(missed.into()));
                            }
                        }
                    }
                }
                () = sleep_until(look.min(deadline)) => {
                    if Instant::now() >= deadline {
                        for (address, _) in open {
                            trail.note(&address, "silent");
                        }
                        return None;
                    }
                    look = Instant::now() + LOOK;
                    let lost = open.iter().all(|(address, _)| self.voters.is_out(address));
                    if order.len() > 0 && (lost || self.spend()) {
                        self.wanted.notify_one();
                        next = order.next();
                        look = Instant::now() + QUIET;
                    }
                }
            }
            if let Some(next) = next {
                open.push((next.clone(), Instant::now()));
                tries.push(self.ask(next, query.clone(), at, deadline));
            }
        }
    }

    async fn ask(&self, address: Address, query: Bytes, at: ReadAt, deadline: Instant) -> Tried {
        let began = Instant::now();
        let left = deadline.saturating_duration_since(began);
        let answer = match Voter::at(&self.channels, &address) {
            Ok(voter) => voter.query(query, at, left).await,
            Err(missed) => Err(missed),
        };
        (address, began, answer)
    }

    /// Somebody asked at `began` has answered; who was asked before has not.
    fn answered(&self, open: &[(Address, Instant)], began: Instant) {
        if open.is_empty() {
            let earned = |spare: i32| Some(spare.saturating_add(1).min(MOST_SPARE));
            // Never fails: there is always a new value.
            let _ = self
                .spare
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, earned);
        }
        for (address, asked) in open {
            if *asked < began {
                self.voters.leave_out(address, &"another one was faster");
            }
        }
    }

    /// Takes what a second try costs, if it is there.
    fn spend(&self) -> bool {
        let taken = |spare: i32| (spare >= PRICE).then(|| spare - PRICE);
        self.spare
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
            .is_ok()
    }
}
