//! Witnesses: voters that hold everything but serve nobody, so that two other nodes
//! can lose either of them. Keeps a witness from leading as long as another can, and
//! knows which members are witnesses. Decides nothing about votes: Raft does.

use std::sync::Arc;
use std::time::Duration;

use openraft::raft::{VoteRequest, VoteResponse};
use postrider_types::Role;
use tokio::time::sleep;

use crate::bucket::BUCKET;
use crate::leader::{Core, Leader};
use crate::raft::TypeConfig;

/// Between looks for such a voter.
const LOOK: Duration = Duration::from_millis(50);

impl Core {
    /// Keeps this witness from leading: it stands for election only when one that does
    /// so holds less than itself, and gives the leadership away once that one has the
    /// rest. Ends with the node.
    pub(crate) async fn stand_back(self: Arc<Self>) {
        let mut leader = self.leader.subscribe();
        loop {
            if matches!(*leader.borrow_and_update(), Leader::Me { .. }) {
                self.give_way().await;
                continue;
            }
            tokio::select! {
                changed = leader.changed() => if changed.is_err() {
                    return;
                },
                () = self.outdone.notified() => {
                    tracing::info!("this witness holds more than the node that would lead");
                    if self.raft.trigger().elect(true).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Hands the leadership to the best voter, or waits a little until there is one.
    async fn give_way(&self) {
        match self.heir() {
            Some(to) => {
                tracing::info!(node = to, "a witness does not lead: hands over");
                self.hand_over(Some(to)).await;
            }
            None => sleep(LOOK).await,
        }
    }

    /// The voter that may lead now instead of this node.
    fn heir(&self) -> Option<u64> {
        let best = self.successor()?;
        (self.answers(best) && self.keeps_up(best)).then_some(best)
    }

    /// Looks whether this node, a witness, would win where the one that asked with
    /// `request` cannot, for it holds less. Only once the leader is not heard any more.
    pub(crate) async fn compare(
        &self,
        request: &VoteRequest<TypeConfig>,
        reply: &VoteResponse<TypeConfig>,
    ) {
        let behind = request.last_log_id < reply.last_log_id;
        if !self.witness || reply.vote_granted || !behind {
            return;
        }
        // A candidate that lacks nothing: it is refused only for a leader that lives.
        let equal = VoteRequest {
            last_log_id: reply.last_log_id,
            ..request.clone()
        };
        if self
            .raft
            .pre_vote(equal)
            .await
            .is_ok_and(|reply| reply.vote_granted)
        {
            self.outdone.notify_one();
        }
    }

    /// Whether none of `voters` serves anybody: witnesses, and the vote in the bucket.
    pub(crate) fn only_witnesses(&self, voters: &[u64]) -> bool {
        let witnesses = self.witnesses.lock();
        voters
            .iter()
            .all(|voter| *voter == BUCKET || witnesses.contains(voter))
    }

    /// Reads which members are witnesses.
    pub(crate) async fn find_witnesses(&self) {
        // What is not known now is known at the next look.
        let Ok(nodes) = self.nodes().await else {
            return;
        };
        let witnesses = nodes
            .iter()
            .filter(|node| node.roles.contains(&Role::Witness));
        *self.witnesses.lock() = witnesses.map(|node| node.id.0).collect();
    }
}
