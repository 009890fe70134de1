//! Who votes besides the bucket, and who of them was heard of lately: whether the
//! nodes are a majority without it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::BUCKET;
use crate::raft::StoredMembership;

/// The other voters, as one node hears of them.
pub(crate) struct Voters {
    me: u64,
    /// Whoever has not answered for this long may be gone.
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// One or, during a change, two sets.
    sets: Vec<BTreeSet<u64>>,
    heard: BTreeMap<u64, Instant>,
    /// The last entry that each is known to have.
    matched: BTreeMap<u64, u64>,
}

impl Voters {
    pub(super) fn new(me: u64, patience: Duration) -> Self {
        Self {
            me,
            patience,
            state: Mutex::default(),
        }
    }

    /// Takes over who votes.
    pub(crate) fn learn(&self, members: &StoredMembership) {
        let sets = members.membership().get_joint_config();
        let mut state = self.state.lock();
        if &state.sets != sets {
            state.sets.clone_from(sets);
        }
    }

    /// A node has answered this one, and has the entry `matched`.
    pub(crate) fn heard(&self, node: u64, matched: Option<u64>) {
        let mut state = self.state.lock();
        state.heard.insert(node, Instant::now());
        if let Some(matched) = matched {
            state.matched.insert(node, matched);
        }
    }

    /// Whether so many nodes have the entry `index` that the bucket is not needed for
    /// it.
    pub(super) fn have(&self, index: u64) -> bool {
        let state = self.state.lock();
        let has = |id: &u64| *id == self.me || state.matched.get(id) >= Some(&index);
        state.sets.iter().all(|set| {
            let fit = set.iter().filter(|id| **id != BUCKET && has(id));
            fit.count() > set.len() / 2
        })
    }

    /// Whether the bucket votes.
    pub(super) fn has_bucket(&self) -> bool {
        let state = self.state.lock();
        state.sets.iter().all(|set| set.contains(&BUCKET))
    }

    /// Whether this node leads nobody without the bucket: too few of the others
    /// have answered lately.
    pub(super) fn need_bucket(&self) -> bool {
        let state = self.state.lock();
        let answers = |id: &u64| {
            let heard = state.heard.get(id);
            *id == self.me || heard.is_some_and(|at| at.elapsed() < self.patience)
        };
        state.sets.iter().any(|set| {
            let fit = set.iter().filter(|id| **id != BUCKET && answers(id));
            fit.count() <= set.len() / 2
        })
    }
}

#[cfg(test)]
mod tests {
    use openraft::BasicNode;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_bucket_is_needed_while_the_other_node_is_silent() {
        let voters = Voters::new(1, Duration::from_millis(300));
        let ids = [BUCKET, 1, 2];
        let nodes: BTreeMap<u64, BasicNode> =
            ids.iter().map(|id| (*id, BasicNode::new(""))).collect();
        let membership = openraft::Membership::new(vec![ids.into()], nodes).unwrap();
        voters.learn(&StoredMembership::new(None, membership));
        assert!(voters.need_bucket());
        voters.heard(2, Some(7));
        assert!(voters.have(7) && !voters.have(8));
        assert!(!voters.need_bucket());
        tokio::time::advance(Duration::from_millis(301)).await;
        assert!(voters.need_bucket());
        // Its own answers are no help.
        voters.heard(BUCKET, Some(9));
        assert!(!voters.have(8));
        assert!(voters.need_bucket());
    }
}
