//! Changes of the membership, as the leader does them, one at a time, and what
//! every member does for its own: ask to be admitted, keep its address known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{BasicNode, ChangeMembers};
use postrider_meta::{Ask as _, NodeView, query};
use postrider_rpc::{Failure, proto};
use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep};

use super::{CATCH_UP, CHANGE, MAX_VOTERS, client};
use crate::blocking;
use crate::bucket::BUCKET;
use crate::forward::within;
use crate::leader::{Core, Leader};
use crate::payload;

/// A member that has not answered for this long is gone: another node may take
/// its address.
const GONE: Duration = Duration::from_secs(5);
/// Between looks at something that takes its time.
const LOOK: Duration = Duration::from_millis(50);
/// Between looks whether something is left to be done.
const TEND: Duration = Duration::from_secs(2);

impl Core {
    /// Admits a node, as leader, if it has caught up before `deadline`.
    pub(crate) async fn admit(
        &self,
        id: u64,
        address: &str,
        deadline: Instant,
    ) -> Result<(), Failure> {
        if address.is_empty() {
            let text = "a member needs an address at which the others reach it: set it";
            return Err(Failure::Failed(text.into()));
        }
        let _changing = self.begin_change().await?;
        self.check_known(id).await?;
        let members = self.membership();
        let voters: BTreeSet<u64> = members.voter_ids().collect();
        let present = members.get_node(&id).map(|node| node.addr.clone());
        if present.as_deref() == Some(address) && voters.contains(&id) {
            return Ok(());
        }
        let twins: BTreeSet<u64> = members
            .nodes()
            .filter(|(other, node)| **other != id && node.addr == address)
            .map(|(other, _)| *other)
            .collect();
        for twin in &twins {
            self.wait_until_gone(*twin, address).await?;
        }
        let stay = voters.iter().filter(|voter| !twins.contains(voter));
        if !voters.contains(&id) && stay.count() >= MAX_VOTERS {
            return Err(Failure::Failed(format!(
                "the cluster has {MAX_VOTERS} voters already, and more make nothing safer: \
                 let this node join with roles = [\"frontend\"], or remove another first"
            )));
        }
        let node = BTreeMap::from([(id, BasicNode::new(address))]);
        match present {
            None => self.change(ChangeMembers::AddNodes(node)).await?,
            // The same node at another address.
            Some(old) if old != address => self.change(ChangeMembers::SetNodes(node)).await?,
            Some(_) => {}
        }
        if voters.contains(&id) && twins.is_empty() {
            return Ok(());
        }
        self.wait_until_close(id, deadline).await?;
        // That took its time: the node may have been removed meanwhile.
        self.check_known(id).await?;
        let (voting, learning): (BTreeSet<u64>, BTreeSet<u64>) =
            twins.iter().partition(|twin| voters.contains(twin));
        tracing::info!(node = id, address, replaces = ?twins, "admits a voter");
        self.change(ChangeMembers::Batch(vec![
            ChangeMembers::AddVoterIds([id].into()),
            ChangeMembers::RemoveVoters(voting),
            ChangeMembers::RemoveNodes(learning),
        ]))
        .await
    }

    /// Refuses a node that the metadata of a cluster do not know, or call removed:
    /// its id must not vote again. Refuses one that is there for mail alone, too.
    async fn check_known(&self, id: u64) -> Result<(), Failure> {
        // By what is committed, and as a leader that others still follow.
        let fresh = tokio::select! {
            fresh = self.barrier() => fresh,
            () = self.cut_off() => {
                let text = "no majority of the voters answers: nobody can be admitted";
                return Err(Failure::Unavailable(text.into()));
            }
        };
        fresh.map_err(payload::failure)?;
        let nodes = self.nodes().await?;
        match nodes.iter().find(|node| node.id.0 == id) {
            Some(node) if node.removed.is_some() => Err(Failure::Removed),
            Some(node) if node.roles.iter().any(|role| role.votes()) => Ok(()),
            Some(_) => Err(Failure::Failed(format!(
                "node {id} has not got the role meta: give it that in its settings, and start it \
                 again"
            ))),
            // A group without the rows of a cluster knows its nodes by its settings.
            None if nodes.is_empty() => Ok(()),
            None => Err(Failure::Failed(format!(
                "the cluster knows no node {id}: join it with `postrider cluster join`"
            ))),
        }
    }

    /// The nodes of the cluster as the state here has them; none without the rows of
    /// a cluster.
    pub(crate) async fn nodes(&self) -> Result<Vec<NodeView>, Failure> {
        let view = self.shared.engine.view();
        let ask = move || {
            let nodes = postrider_meta::query::answer(&view, query::Nodes {}.into());
            futures::executor::block_on(nodes)
        };
        let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        let answer = blocking::run(ask).await.map_err(|error| failed(&error))?;
        let nodes = query::Nodes::answer(answer.map_err(|error| failed(&error))?);
        Ok(nodes.unwrap_or_default())
    }

    /// Takes a node out, as leader.
    pub(crate) async fn expel(&self, id: u64) -> Result<(), Failure> {
        let _changing = self.begin_change().await?;
        let members = self.membership();
        if members.get_node(&id).is_none() {
            return Ok(());
        }
        let voters: BTreeSet<u64> = members.voter_ids().collect();
        if !voters.contains(&id) {
            return self.change(ChangeMembers::RemoveNodes([id].into())).await;
        }
        let stay: Vec<u64> = voters.iter().copied().filter(|it| *it != id).collect();
        let (answer, silent): (Vec<u64>, Vec<u64>) = stay.iter().partition(|it| self.answers(**it));
        if stay.is_empty() {
            let text = "it is the only voter: without it the cluster would be at an end";
            return Err(Failure::Failed(text.into()));
        }
        if self.only_witnesses(&stay) {
            let text = "only witnesses would be left to vote, and they serve nobody: join \
                        another node with the role \"meta\" first";
            return Err(Failure::Failed(text.into()));
        }
        // One that does not answer is no help to any majority: that it goes makes
        // nothing worse.
        if self.may_answer(id) && answer.len() <= stay.len() / 2 {
            if silent.iter().any(|it| self.may_answer(*it)) {
                let text = format!("the leader has not heard of the voters {silent:?} yet");
                return Err(Failure::Unavailable(text));
            }
            return Err(Failure::Failed(format!(
                "node {id} is needed: of the voters that would stay ({stay:?}) {silent:?} do not \
                 answer, so no majority would be left and nothing could be written. Remove or \
                 repair those first"
            )));
        }
        if id == self.node_id {
            let _ = self.hand_over(None).await;
            // Whoever leads now does it.
            return Err(Failure::NotLeader(self.leader_address()));
        }
        tracing::info!(node = id, "takes a voter out");
        let gone = ChangeMembers::RemoveVoters([id].into());
        self.change(gone).await
    }

    /// Hands the leadership over, as leader.
    pub(crate) async fn move_leader(&self, to: Option<u64>) -> Result<u64, Failure> {
        let _changing = self.begin_change().await?;
        let members = self.membership();
        let others: Vec<u64> = members
            .voter_ids()
            .filter(|id| *id != self.node_id)
            .collect();
        match to {
            Some(id) if id == self.node_id => return Ok(id),
            Some(BUCKET) => {
                let text = "the vote in the bucket does not lead";
                return Err(Failure::Failed(text.into()));
            }
            Some(id) if !members.voter_ids().any(|voter| voter == id) => {
                return Err(Failure::Failed(format!("node {id} is no voter")));
            }
            Some(id) if self.witnesses.lock().contains(&id) => {
                return Err(Failure::Failed(format!(
                    "node {id} is a witness, which does not lead: choose another"
                )));
            }
            Some(id) if !self.may_answer(id) => {
                return Err(Failure::Failed(format!(
                    "node {id} does not answer: it cannot lead"
                )));
            }
            None if self.only_witnesses(&others) => {
                let text = "there is no other voter that could lead";
                return Err(Failure::Failed(text.into()));
            }
            _ => {}
        }
        self.hand_over(to).await;
        match &*self.leader.borrow() {
            Leader::Other { node, .. } => Ok(*node),
            _ => Err(Failure::Unavailable(
                "the leadership was not taken over in time: see which voters keep up".into(),
            )),
        }
    }

    /// Asks `seeds` and the members known here to admit this node.
    pub(super) async fn join(&self, address: &str, seeds: &[String]) -> Result<(), Failure> {
        let members = self.membership();
        let known = members.nodes().filter(|(id, _)| **id != self.node_id);
        let known = known.map(|(_, node)| node.addr.clone());
        let mut all: Vec<String> = seeds.to_vec();
        all.extend(known);
        all.retain(|seed| !seed.is_empty() && seed != address);
        all.sort();
        all.dedup();
        let mut last = Failure::Unavailable("no member of the cluster is known".into());
        for seed in all {
            let channel = self.channels.get(&seed);
            let channel = channel.map_err(|error| Failure::Failed(error.to_string()))?;
            let request = proto::AdmitRequest {
                node: self.node_id,
                address: address.to_owned(),
            };
            // Whoever is asked gives up before: then the answer says why.
            let request = within(request, CATCH_UP + 2 * CHANGE);
            match client(channel).admit(request).await.map_err(Failure::from) {
                Ok(_) => return Ok(()),
                Err(failure @ (Failure::Unavailable(_) | Failure::NotLeader(_))) => last = failure,
                Err(failure) => return Err(failure),
            }
        }
        Err(last)
    }

    /// Finishes what a leader before this one has begun, and keeps this node's
    /// own address as its settings have it. Ends with the node.
    pub(crate) async fn tend(self: Arc<Self>, address: String) {
        loop {
            self.find_witnesses().await;
            sleep(TEND).await;
            if self.check_open().is_err() {
                return;
            }
            if matches!(*self.leader.borrow(), Leader::Me { .. })
                && self.membership().membership().get_joint_config().len() > 1
                && let Err(error) = self.begin_change().await.map(drop)
            {
                tracing::debug!(%error, "the change of the membership is not finished");
            }
            let known = self.membership();
            let known = known.get_node(&self.node_id).map(|node| node.addr.as_str());
            if known.is_none_or(|known| known == address) || address.is_empty() {
                continue;
            }
            let moved = match *self.leader.borrow() {
                Leader::Me { .. } => None,
                _ => Some(self.join(&address, &[])),
            };
            let moved = match moved {
                Some(asked) => asked.await,
                None => {
                    let deadline = Instant::now() + CATCH_UP;
                    self.admit(self.node_id, &address, deadline).await
                }
            };
            match moved {
                Ok(()) => tracing::info!(address, "this node is reached at its new address"),
                Err(error) => tracing::warn!(address, %error, "the members do not know it yet"),
            }
        }
    }

    /// Waits for its turn, and finishes a change that was left half done.
    pub(crate) async fn begin_change(&self) -> Result<MutexGuard<'_, ()>, Failure> {
        let turn = tokio::time::timeout(CHANGE, self.changing.lock()).await;
        let busy = |_| Failure::Unavailable("another change of the members is under way".into());
        let turn = turn.map_err(busy)?;
        if self.membership().membership().get_joint_config().len() > 1 {
            self.change(ChangeMembers::AddVoterIds(BTreeSet::new()))
                .await?;
        }
        Ok(turn)
    }

    /// Proposes a change and waits until it is in effect.
    pub(crate) async fn change(
        &self,
        changes: ChangeMembers<u64, BasicNode>,
    ) -> Result<(), Failure> {
        let changed = tokio::select! {
            changed = self.raft.change_membership(changes, false) => changed,
            () = self.cut_off() => {
                let text = "no majority of the voters answers: nothing can be changed";
                return Err(Failure::Unavailable(text.into()));
            }
        };
        match changed {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                Err(Failure::NotLeader(self.leader_address()))
            }
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
                error @ (ChangeMembershipError::InProgress(_)
                | ChangeMembershipError::UncommittedLeaderLog(_)),
            ))) => Err(Failure::Unavailable(error.to_string())),
            Err(error) => Err(Failure::Failed(error.to_string())),
        }
    }

    /// Waits until the node that has an address is known to be gone. Refuses if
    /// it turns out to be alive.
    async fn wait_until_gone(&self, id: u64, address: &str) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            self.check_leading()?;
            let silence = self.silence(id).unwrap_or_default();
            if silence >= GONE {
                return Ok(());
            }
            // It has answered after it was asked about.
            if id == self.node_id || silence + LOOK < began.elapsed() {
                return Err(Failure::Failed(format!(
                    "{address} is the address of node {id}, which is alive: give the new node \
                     an address of its own"
                )));
            }
            sleep(LOOK).await;
        }
    }

    /// Waits until a learner has nearly all.
    async fn wait_until_close(&self, id: u64, deadline: Instant) -> Result<(), Failure> {
        loop {
            self.check_leading()?;
            if self.keeps_up(id) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let lacks = self.lacks(id);
                let lacks = lacks.map_or("all".into(), |lacks| format!("{lacks} entries"));
                return Err(Failure::Unavailable(format!(
                    "node {id} is catching up: it lacks {lacks}. Try again in a while"
                )));
            }
            sleep(LOOK).await;
        }
    }

    fn check_leading(&self) -> Result<(), Failure> {
        let leads = matches!(*self.leader.borrow(), Leader::Me { .. });
        match leads {
            true => Ok(()),
            false => Err(Failure::NotLeader(self.leader_address())),
        }
    }
}
