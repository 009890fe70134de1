//! When the bucket votes: exactly where two nodes do. The leader lets it in once
//! the store has shown that it can be relied on, and takes it out when a third
//! node votes, the second has gone, or the store turns out to be another. It also
//! keeps its log short: what a snapshot in the archive holds goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{BasicNode, ChangeMembers};
use postrider_rpc::Failure;
use tokio::time::{Instant, sleep};

use super::{BUCKET, Bucket, Change, LOOK, Segment, Unanswered};
use crate::leader::{Core, Leader};

/// Between looks whether something is to be done.
pub(super) const TEND: Duration = Duration::from_secs(1);
/// After a store was found not to be reliable, or did not answer.
pub(super) const AGAIN: Duration = Duration::from_secs(30);
/// How long it may take to bring the bucket up to date.
const CATCH_UP: Duration = Duration::from_secs(60);
/// The log in the bucket is looked through once it has more objects or bytes.
const OBJECTS: usize = 32;
const BYTES: u64 = 16 << 20;
/// Between such looks.
const TRIM: Duration = Duration::from_secs(60);
/// Between sweeps for objects that no record names; and they stay that long.
const SWEEP: Duration = Duration::from_secs(600);

/// What a leader has in mind about the bucket.
#[derive(Default)]
struct Mind {
    /// Not tried before then.
    try_after: Option<Instant>,
    swept: Option<Instant>,
    trimmed: Option<Instant>,
    /// Objects that no record named at the last sweep.
    strays: BTreeSet<String>,
}

impl Core {
    /// Keeps the vote in the bucket as it should be. Ends with the node.
    pub(crate) async fn tend_bucket(self: Arc<Self>, bucket: Bucket) {
        let mut mind = Mind::default();
        let mut trial = Instant::now();
        // It is needed early by a node that finds itself alone.
        let mut pause = LOOK;
        loop {
            sleep(pause).await;
            pause = TEND;
            if self.check_open().is_err() {
                return;
            }
            let counts = self.membership().get_node(&BUCKET).is_some();
            if counts && bucket.is_relied_on().is_err() && Instant::now() >= trial {
                let again = bucket.try_voter().await;
                trial = Instant::now() + again;
            }
            if !matches!(*self.leader.borrow(), Leader::Me { .. }) {
                mind = Mind::default();
                continue;
            }
            if mind.try_after.is_some_and(|after| Instant::now() < after) {
                continue;
            }
            if let Err(reason) = self.settle_bucket(&bucket, &mut mind).await {
                bucket.complain(reason);
                mind.try_after = Some(Instant::now() + AGAIN);
            }
        }
    }

    async fn settle_bucket(&self, bucket: &Bucket, mind: &mut Mind) -> Result<(), Unanswered> {
        let members = self.membership();
        if members.membership().get_joint_config().len() > 1 {
            return Ok(());
        }
        let votes = members.voter_ids().any(|id| id == BUCKET);
        let present = members.get_node(&BUCKET).is_some();
        let due = bucket.0.wanted && self.nodes_that_vote() == 2;
        let failed = |failure: Failure| failure.to_string();
        match (due, votes, present) {
            (true, false, _) => self.admit_bucket(bucket).await,
            (false, _, true) => self.expel_bucket().await.map_err(failed),
            // Two could have its vote at once. Without it the nodes are a majority.
            (true, true, _) if bucket.unreliable().is_some() => {
                self.expel_bucket().await.map_err(failed)
            }
            (true, true, _) if bucket.is_relied_on().is_err() => Ok(()),
            (true, true, _) => match bucket.record().await? {
                // Somebody has emptied the bucket. Its vote has no memory any more,
                // so it must not vote on: without it the two are a majority.
                None => self.expel_bucket().await.map_err(failed),
                Some(_) => {
                    // Raft does not outlive a snapshot for which there is no room.
                    if bucket.tidy(mind).await? && self.has_room_for_snapshot() {
                        // The archive has nothing newer: its keeper brings this there.
                        let asked = self.raft.trigger().snapshot().await;
                        asked.map_err(|error| error.to_string())?;
                    }
                    Ok(())
                }
            },
            (false, _, false) => {
                *bucket.0.problem.lock() = None;
                Ok(())
            }
        }
    }

    fn nodes_that_vote(&self) -> usize {
        let members = self.membership();
        members.voter_ids().filter(|id| *id != BUCKET).count()
    }

    /// Makes the bucket a voter.
    async fn admit_bucket(&self, bucket: &Bucket) -> Result<(), Unanswered> {
        let failed = |failure: Failure| failure.to_string();
        bucket.try_store().await?;
        let changing = self.begin_change().await.map_err(failed)?;
        let vote = self.raft.metrics().borrow_watched().vote;
        bucket.create(vote).await?;
        if self.membership().get_node(&BUCKET).is_none() {
            let node = BTreeMap::from([(BUCKET, BasicNode::new(""))]);
            let added = self.change(ChangeMembers::AddNodes(node)).await;
            added.map_err(failed)?;
        }
        // That may take its time: nodes may come and go meanwhile.
        drop(changing);
        self.wait_for_bucket().await?;
        let _changing = self.begin_change().await.map_err(failed)?;
        if self.nodes_that_vote() != 2 || self.membership().get_node(&BUCKET).is_none() {
            return Ok(());
        }
        let voting = ChangeMembers::AddVoterIds([BUCKET].into());
        self.change(voting).await.map_err(failed)?;
        tracing::info!("the bucket has the third vote");
        Ok(())
    }

    /// Waits until the bucket has what is in the log now.
    async fn wait_for_bucket(&self) -> Result<(), Unanswered> {
        let deadline = Instant::now() + CATCH_UP;
        let wanted = self.log.last();
        loop {
            let matched = {
                let metrics = self.raft.metrics();
                let metrics = metrics.borrow_watched();
                let all = metrics.replication.as_ref();
                all.and_then(|all| *all.get(&BUCKET)?)
            };
            if matched >= wanted {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err("the bucket does not catch up with the log in time".into());
            }
            if !matches!(*self.leader.borrow(), Leader::Me { .. }) {
                return Err("another node leads now".into());
            }
            sleep(LOOK).await;
        }
    }

    /// Takes its vote from the bucket. Its record stays: a vote is not forgotten.
    async fn expel_bucket(&self) -> Result<(), Failure> {
        let _changing = self.begin_change().await?;
        tracing::info!("the bucket has no vote any more");
        let votes = self.membership().voter_ids().any(|id| id == BUCKET);
        let gone = BTreeSet::from([BUCKET]);
        self.change(match votes {
            true => ChangeMembers::RemoveVoters(gone),
            false => ChangeMembers::RemoveNodes(gone),
        })
        .await
    }
}

impl Bucket {
    /// Drops what a snapshot in the archive holds, and what no record names. Whether
    /// the log stays too long for want of a newer snapshot.
    async fn tidy(&self, mind: &mut Mind) -> Result<bool, Unanswered> {
        let long = {
            let known = self.0.known.lock().await;
            known.as_ref().is_some_and(|known| {
                let record = &known.record;
                record.segments.len() > OBJECTS || record.segment_bytes() > BYTES
            })
        };
        let mut stays = false;
        if long && mind.trimmed.is_none_or(|at| at.elapsed() >= TRIM) {
            mind.trimmed = Some(Instant::now());
            stays = !self.trim().await?;
        }
        if mind.swept.is_none_or(|at| at.elapsed() >= SWEEP) {
            mind.swept = Some(Instant::now());
            self.sweep(&mut mind.strays).await?;
        }
        Ok(stays)
    }

    /// Whether there was something to drop.
    async fn trim(&self) -> Result<bool, Unanswered> {
        let newest = self.0.archive.newest().await;
        let newest = newest.map_err(|error| self.failed(&error))?;
        let Some(newest) = newest else {
            return Ok(false);
        };
        let dropped = self.change(false, |record| {
            let mut next = record.clone();
            if !next.rebase(newest.id) {
                return Change::Keep(None);
            }
            let dropped = record.segments.iter();
            let dropped = dropped.filter(|segment| !next.segments.contains(segment));
            let dropped: Vec<Segment> = dropped.cloned().collect();
            Change::Write(next, Some(dropped))
        });
        let Some(dropped) = dropped.await? else {
            return Ok(false);
        };
        for segment in dropped {
            let deleted = self.0.store.delete(&self.segment_key(&segment)).await;
            deleted.map_err(|error| self.failed(&error))?;
        }
        Ok(true)
    }

    /// Removes objects that no record names: of writes that came too late. Only
    /// those that were not named at the last sweep either.
    async fn sweep(&self, strays: &mut BTreeSet<String>) -> Result<(), Unanswered> {
        let listed = self.0.store.list(&format!("{}/log", self.0.prefix));
        let listed: Vec<_> = listed
            .map_ok(|found| found.key)
            .try_collect()
            .await
            .map_err(|error| self.failed(&error))?;
        // Read after the listing: what was put and named since is not in that. What was
        // put is named first.
        let _naming = self.0.naming.lock().await;
        let Some(record) = self.record().await? else {
            return Ok(());
        };
        let named = record.segments.iter().map(|it| self.segment_key(it));
        let named: BTreeSet<String> = named.collect();
        let unnamed: BTreeSet<String> = listed
            .into_iter()
            .filter(|key| !named.contains(key))
            .collect();
        for key in unnamed.intersection(strays) {
            let deleted = self.0.store.delete(key).await;
            deleted.map_err(|error| self.failed(&error))?;
        }
        *strays = unnamed;
        Ok(())
    }
}
