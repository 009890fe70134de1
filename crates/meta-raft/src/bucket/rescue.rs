//! The case in which the bucket knows more than the node that has survived: the
//! bucket is elected by the rules of Raft, hands over what it has, and gives the
//! leadership away at once. It proposes nothing of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest,
};
use openraft::storage::Snapshot;
use openraft::{RaftNetworkFactory, RaftNetworkV2};

use super::record::Record;
use super::{BUCKET, Bucket, Change, Unanswered, size};
use crate::leader::Core;
use crate::network::{Network, SnapshotOf as Base};
use crate::raft::{Entry, LogId, Payload, StoredMembership, Vote, term};

/// Bytes of entries that are handed over at once, but for one entry.
const CHUNK: usize = 4 << 20;

impl Bucket {
    /// Is ready once a vote was refused because the bucket has more.
    async fn behind(&self) {
        self.0.behind.notified().await;
    }

    /// The record as it is now.
    pub(super) async fn record(&self) -> Result<Option<Record>, Unanswered> {
        self.look(&mut *self.0.known.lock().await).await
    }

    /// Takes `vote` for its own, if nothing has changed since `record`. Its new
    /// record.
    async fn claim(&self, record: &Record, vote: Vote) -> Result<Record, Unanswered> {
        let claimed = self.change(false, |now| {
            if now.writing != record.writing {
                return Change::Keep(false);
            }
            let mut next = now.clone();
            next.vote = vote;
            Change::Write(next, true)
        });
        if !claimed.await? {
            return Err("its vote has changed meanwhile".into());
        }
        let known = self.0.known.lock().await;
        let record = known.as_ref().map(|known| known.record.clone());
        record
            .filter(|record| record.vote == vote)
            .ok_or_else(|| "its vote has changed".into())
    }

    /// The entries from `first` on.
    pub(super) async fn entries(
        &self,
        record: &Record,
        first: u64,
    ) -> Result<Vec<Entry>, Unanswered> {
        let mut entries = Vec::new();
        for segment in record.segments.iter().filter(|it| it.last >= first) {
            entries.extend(self.get(segment).await?);
        }
        entries.extend(record.tail.iter().cloned());
        entries.retain(|entry| entry.log_id.index >= first);
        let expected = record
            .last
            .map_or(0, |last| (last.index + 1).saturating_sub(first));
        if entries.len() as u64 != expected {
            return Err(self.failed(&"entries of its log are missing"));
        }
        Ok(entries)
    }
}

impl Core {
    /// Brings over what the bucket has and this node lacks, whenever the bucket
    /// refuses its vote for that. Ends with the node.
    pub(crate) async fn rescue(self: Arc<Self>, bucket: Bucket) {
        loop {
            bucket.behind().await;
            match self.bring_over(&bucket).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(
                    entries = count,
                    "took over entries that only the bucket had"
                ),
                Err(reason) => tracing::info!(reason, "nothing is taken over from the bucket yet"),
            }
        }
    }

    /// How many entries came over.
    async fn bring_over(&self, bucket: &Bucket) -> Result<usize, Unanswered> {
        let record = bucket.record().await?.ok_or("its vote is lost")?;
        let mine = self.log.last();
        if record.last <= mine {
            return Ok(0);
        }
        if !bucket.abandoned(&record) {
            return Err("another node may lead".into());
        }
        let shared = self.shared_with(&record);
        let snapshot = match shared {
            Some(_) => None,
            None => Some(self.fetch_base(bucket, &record).await?),
        };
        let mut previous = match &snapshot {
            Some(snapshot) => snapshot.meta.last_log_id,
            None => shared.flatten(),
        };
        let first = previous.map_or(0, |id| id.index + 1);
        let entries = match record.last > previous {
            true => bucket.entries(&record, first).await?,
            false => Vec::new(),
        };
        let members = snapshot.as_ref().map(|it| it.meta.last_membership.clone());
        let members = self.members_by(previous, members, &entries).await?;
        if !members.voter_ids().any(|id| id == self.node_id) {
            return Err("this node has no vote any more".into());
        }
        let last = record.last.max(previous);
        let vote = self.elect_bucket(bucket, &record, &members, last).await?;
        if let Some(snapshot) = snapshot {
            let installed = self.raft.install_full_snapshot(vote, snapshot).await;
            installed.map_err(|error| error.to_string())?;
        }
        let count = entries.len();
        for chunk in chunks(entries) {
            let last = chunk.last().map(|entry| entry.log_id);
            let request = AppendEntriesRequest {
                vote,
                prev_log_id: previous,
                entries: chunk,
                leader_commit: record.committed,
            };
            let taken = self.raft.append_entries(request).await;
            match taken.map_err(|error| error.to_string())? {
                AppendEntriesResponse::Success => previous = last.or(previous),
                other => return Err(format!("this node did not take its entries: {other}")),
            }
        }
        let given = TransferLeaderRequest::new(vote, self.node_id, last);
        let given = self.raft.handle_transfer_leader(given).await;
        given
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())?;
        Ok(count)
    }

    /// The last entry that this node's log and the record have in common. None: the
    /// record begins after it, and a snapshot is needed.
    fn shared_with(&self, record: &Record) -> Option<Option<LogId>> {
        let mine = self.log.last();
        let Some(mine) = mine else {
            return record.base.is_none().then_some(None);
        };
        let highest = mine.index.min(record.last.map_or(0, |id| id.index));
        let lowest = record.base.map_or(0, |id| id.index);
        let same = |index: &u64| {
            let id = record.id(*index);
            id.is_some() && (self.log.id(*index) == id || self.log.purged() == id)
        };
        let shared = (lowest..=highest).rev().find(same);
        match shared {
            Some(index) => Some(record.id(index)),
            None => record.base.is_none().then_some(None),
        }
    }

    /// Has the bucket elected by `members`, as one whose log ends with `last`. Its
    /// vote.
    async fn elect_bucket(
        &self,
        bucket: &Bucket,
        record: &Record,
        members: &StoredMembership,
        last: Option<LogId>,
    ) -> Result<Vote, Unanswered> {
        let mine = self.raft.metrics().borrow_watched().vote.leader_id.term;
        let seen = last.map_or(0, |id| term(&id));
        let term = record.vote.leader_id.term.max(mine).max(seen) + 1;
        let candidate = bucket.claim(record, Vote::new(term, BUCKET)).await?;
        let request = VoteRequest::new(candidate.vote, last);
        let mut votes = BTreeSet::from([BUCKET]);
        let voted = self.raft.vote(request.clone()).await;
        if voted.map_err(|error| error.to_string())?.vote_granted {
            votes.insert(self.node_id);
        }
        let sets = members.membership().get_joint_config();
        let elected = |votes: &BTreeSet<u64>| {
            let won = |set: &BTreeSet<u64>| set.intersection(votes).count() > set.len() / 2;
            sets.iter().all(won)
        };
        if !elected(&votes) {
            self.ask_others(members, &request, &mut votes).await;
        }
        if !elected(&votes) {
            return Err(format!("only {votes:?} voted for it"));
        }
        let leader = Vote::new_committed(term, BUCKET);
        bucket.claim(&candidate, leader).await?;
        Ok(leader)
    }

    /// Asks the nodes besides this one for their votes.
    async fn ask_others(
        &self,
        members: &StoredMembership,
        request: &VoteRequest<crate::raft::TypeConfig>,
        votes: &mut BTreeSet<u64>,
    ) {
        let mut network = Network::new(&self.channels, self.addresses.clone(), None, None);
        let others = members
            .nodes()
            .filter(|(id, _)| ![BUCKET, self.node_id].contains(id));
        for (id, node) in others {
            let mut peer = network.new_client(*id, node).await;
            let asked = peer
                .vote(request.clone(), RPCOption::new(self.patience))
                .await;
            if asked.is_ok_and(|reply| reply.vote_granted && reply.vote == request.vote) {
                votes.insert(*id);
            }
        }
    }

    /// The members as the bucket's log has them: the last in its entries, else those of
    /// the snapshot before them, else this node's own as of `shared`.
    async fn members_by(
        &self,
        shared: Option<LogId>,
        snapshot: Option<StoredMembership>,
        entries: &[Entry],
    ) -> Result<StoredMembership, Unanswered> {
        let told = entries.iter().rev().find_map(|entry| match &entry.payload {
            Payload::Membership(members) => {
                Some(StoredMembership::new(Some(entry.log_id), members.clone()))
            }
            _ => None,
        });
        if let Some(told) = told.or(snapshot) {
            return Ok(told);
        }
        let known = self.raft.with_raft_state(move |state| {
            let members = &state.membership_state;
            // What is after the shared part will be forgotten.
            match members.effective().log_id() > &shared {
                true => members.committed().as_ref().clone(),
                false => members.effective().as_ref().clone(),
            }
        });
        known.await.map_err(|error| error.to_string())
    }

    /// The newest snapshot of the archive, on which the record's entries follow.
    async fn fetch_base(&self, bucket: &Bucket, record: &Record) -> Result<Base, Unanswered> {
        let failed = |error: crate::Error| error.to_string();
        let archive = &bucket.0.archive;
        let newest = archive.newest().await.map_err(failed)?;
        let newest = newest.ok_or("the snapshot before its entries is missing")?;
        if Some(newest.id) < record.last && record.id(newest.id.index) != Some(newest.id) {
            return Err("its entries do not follow on the newest snapshot".into());
        }
        let draft = self.shared.snapshots.draft();
        let stored = archive.fetch(&newest, draft.path()).await.map_err(failed)?;
        Ok(Snapshot {
            meta: stored.meta(),
            snapshot: stored.of(draft),
        })
    }
}

/// Entries in groups of bounded length.
fn chunks(entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut all: Vec<Vec<Entry>> = vec![Vec::new()];
    let mut bytes = 0;
    for entry in entries {
        if bytes >= CHUNK {
            all.push(Vec::new());
            bytes = 0;
        }
        bytes += size(&entry);
        if let Some(last) = all.last_mut() {
            last.push(entry);
        }
    }
    all
}
