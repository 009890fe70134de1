//! Commands: to the leader, under the same id until it answers. A leader that
//! is at work is waited for; only when another one leads, or the connection is
//! lost, is the command sent again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_meta::{Error as MetaError, Executed};
use postrider_rpc::Failure;
use postrider_types::CommandId;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::call::{Missed, Voter};
use super::voters::Address;
use super::{Shared, Trail};
use crate::payload;

/// A leader that has not answered after this may be gone: time to ask around.
const QUIET: Duration = Duration::from_millis(300);
/// Between two looks around, and between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// A leader that is out of reach from here for so long, while others say that
/// it leads, is reached through one of them.
const DETOUR: Duration = Duration::from_millis(1500);
/// Hints that are followed without a pause.
const HOPS: u32 = 2;

/// Where a command goes.
struct Way {
    address: Address,
    /// It does not lead, and is to pass the command on to this leader.
    forward: Option<Address>,
}

enum Try {
    Ended(Result<Executed, Missed>),
    /// There is a better way now.
    Moved,
    Late,
}

impl Shared {
    /// Executes an encoded command.
    pub(super) async fn execute(
        self: &Arc<Self>,
        id: CommandId,
        command: Bytes,
    ) -> Result<Executed, MetaError> {
        let deadline = self.deadline();
        let mut trail = Trail::default();
        let mut hops = 0;
        loop {
            let Some(way) = self.way(deadline).await else {
                return Err(trail.late(self.timeout));
            };
            let Missed { failure, answered } = match self.send(id, &command, &way, deadline).await {
                Try::Ended(Ok(executed)) => return Ok(executed),
                Try::Ended(Err(missed)) => missed,
                Try::Moved => {
                    trail.note(&way.address, "silent");
                    continue;
                }
                Try::Late => {
                    trail.note(&way.address, "silent");
                    return Err(trail.late(self.timeout));
                }
            };
            trail.note(&way.address, &failure);
            if !answered {
                self.voters.leave_out(&way.address, &failure);
            }
            match failure {
                Failure::NotLeader(hint) => {
                    let known = hint.is_some();
                    self.voters.not_leader(&way.address, hint);
                    hops += 1;
                    if known && hops <= HOPS {
                        continue;
                    }
                }
                failure if super::is_final(&failure) => return Err(payload::error(failure)),
                _ => {}
            }
            self.pause(deadline).await;
        }
    }

    /// Where a command should go now; waits until anybody knows. None: the time
    /// is up.
    async fn way(&self, deadline: Instant) -> Option<Way> {
        let mut changed = self.voters.subscribe();
        loop {
            if let Some(leader) = self.voters.leader() {
                return Some(self.around(leader));
            }
            if Instant::now() >= deadline {
                return None;
            }
            self.wanted.notify_one();
            let again = deadline.min(Instant::now() + PAUSE);
            // Whatever it was, the next look shows it.
            let _ = timeout_at(again, changed.changed()).await;
        }
    }

    /// Straight to `leader`, or through another voter where that has not worked
    /// for a while.
    fn around(&self, leader: Address) -> Way {
        if self.voters.out_for(&leader) >= DETOUR
            && let Some(other) = self.voters.other_fit(&leader)
        {
            return Way {
                address: other,
                forward: Some(leader),
            };
        }
        Way {
            address: leader,
            forward: None,
        }
    }

    /// One try, for as long as there is no better way.
    async fn send(&self, id: CommandId, command: &Bytes, way: &Way, deadline: Instant) -> Try {
        let voter = match Voter::at(&self.channels, &way.address) {
            Ok(voter) => voter,
            Err(missed) => return Try::Ended(Err(missed)),
        };
        let mut changed = self.voters.subscribe();
        let left = deadline.saturating_duration_since(Instant::now());
        let call = voter.execute(id, command.clone(), way.forward.is_some(), left);
        let mut call = std::pin::pin!(call);
        let mut look = deadline.min(Instant::now() + QUIET);
        loop {
            tokio::select! {
                biased;
                ended = &mut call => return Try::Ended(ended),
                Ok(()) = changed.changed() => {}
                () = sleep_until(look) => {
                    let now = Instant::now();
                    if now >= deadline {
                        return Try::Late;
                    }
                    self.wanted.notify_one();
                    look = deadline.min(now + PAUSE);
                }
            }
            if self.has_better(way) {
                return Try::Moved;
            }
        }
    }

    /// Another node leads by now, or the leader cannot be reached this way.
    fn has_better(&self, way: &Way) -> bool {
        let Some(leader) = self.voters.leader() else {
            return false;
        };
        let better = self.around(leader);
        match (&way.forward, &better.forward) {
            // What is being passed on stays where it is as long as nothing changes.
            (Some(before), Some(now)) => before != now || self.voters.is_out(&way.address),
            _ => way.address != better.address,
        }
    }

    /// A moment for things to change.
    pub(super) async fn pause(&self, deadline: Instant) {
        self.wanted.notify_one();
        sleep_until(deadline.min(Instant::now() + PAUSE)).await;
    }
}
