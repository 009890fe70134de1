//! What a node does by itself beside Raft, each as a task until it ends: knows
//! whether a majority answers, has snapshots written, steps back from a full disk
//! or with a wrong clock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use postrider_meta::Error as MetaError;
use postrider_rpc::proto;
use postrider_rpc::proto::membership_client::MembershipClient;
use postrider_types::Millis;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::cut::Cutter;
use crate::disk;
use crate::forward::within;
use crate::leader::{Core, Leader};
use crate::reads::Reads;
use crate::settings::Settings;
use crate::standing::Standing;

/// Between two looks at the clocks.
const CLOCKS: Duration = Duration::from_secs(5);
/// Clocks agree that are not further apart.
const NEAR: Duration = Duration::from_secs(60);
/// A leader's clock may be so far away: less than what makes it refuse commands.
const FAR: Duration = Duration::from_secs(240);
/// How long another node may take to say how it is.
const ASKED: Duration = Duration::from_secs(1);

/// Begins all of it.
pub(crate) fn begin(
    core: &Arc<Core>,
    standing: &Arc<Standing>,
    reads: &Arc<Reads>,
    settings: &Settings,
) -> Vec<JoinHandle<()>> {
    let (standing, reads) = (Arc::clone(standing), Arc::clone(reads));
    let core = || Arc::clone(core);
    let mut tasks = vec![
        tokio::spawn(core().follow()),
        tokio::spawn(core().tend(settings.address.clone())),
        tokio::spawn(take_snapshots(core())),
        tokio::spawn(Cutter::new(core(), settings).run()),
        tokio::spawn(keep_standing(standing, core(), reads)),
        tokio::spawn(mind_disk(core())),
        tokio::spawn(mind_clock(core())),
    ];
    if let Some(bucket) = core().bucket.clone() {
        tasks.extend([
            tokio::spawn(core().rescue(bucket.clone())),
            tokio::spawn(core().tend_bucket(bucket)),
        ]);
    }
    tasks
}

/// Knows whether a majority answers this node.
async fn keep_standing(standing: Arc<Standing>, core: Arc<Core>, reads: Arc<Reads>) {
    let probe = || async {
        // Who is not among any members yet has no majority to miss.
        let waits = core.membership().voter_ids().next().is_none();
        match waits || core.leads_alone().is_some() {
            true => Ok(()),
            false => reads.index().await.map(drop),
        }
    };
    standing
        .keep(probe, || core.shared.watchers.notify_all())
        .await;
}

/// Has a snapshot written whenever one is due and there is room for it: Raft does
/// not outlive one that fails.
async fn take_snapshots(core: Arc<Core>) {
    loop {
        core.shared.growth.due.notified().await;
        while !core.has_room_for_snapshot() {
            sleep(disk::LOOK).await;
        }
        if !core.shared.growth.is_due() {
            // It was told of more than once.
            continue;
        }
        if let Err(error) = core.raft.trigger().snapshot().await {
            tracing::warn!(%error, "no snapshot");
            return;
        }
    }
}

/// Looks at the room on the disk. While there is too little, this node gives the
/// leadership to another one that has room, if there is one.
async fn mind_disk(core: Arc<Core>) {
    loop {
        core.disk.look();
        let leads = matches!(*core.leader.borrow(), Leader::Me { .. });
        if !core.disk.is_low() {
            core.nobody_has_room.store(false, Ordering::Relaxed);
        } else if leads {
            let heir = heir(&core).await;
            core.nobody_has_room
                .store(heir.is_none(), Ordering::Relaxed);
            if let Some(heir) = heir {
                // Where it fails it is tried again; what failed is in the log.
                core.hand_over(Some(heir)).await;
            }
        }
        sleep(disk::LOOK).await;
    }
}

/// Another voter that answers, as it says of itself.
#[derive(Clone, Copy, Debug)]
struct Other {
    node: u64,
    clock: Millis,
    /// It may lead: it keeps up, its disk has room, and it is no witness.
    fit: bool,
}

/// A voter that may lead.
async fn heir(core: &Core) -> Option<u64> {
    let told = others(core).await;
    told.iter().find(|other| other.fit).map(|other| other.node)
}

/// The other voters that answer.
async fn others(core: &Core) -> Vec<Other> {
    let members = core.members().members.into_iter();
    let asked = members.filter_map(|member| {
        let other = member.voter && member.node != core.node_id;
        let silent = member.silent_ms.map(Duration::from_millis);
        if !other || silent.is_none_or(|silent| silent >= core.patience) {
            return None;
        }
        let channel = core.channels.node(member.node, &member.address).ok()?;
        let request = within(proto::MembersRequest {}, ASKED);
        Some(async move {
            let told = MembershipClient::new(channel).members(request).await;
            let told = told.ok()?.into_inner();
            Some(Other {
                node: member.node,
                clock: Millis(told.clock),
                fit: !told.short_of_room && !member.witness && core.keeps_up(member.node),
            })
        })
    });
    let told = futures::future::join_all(asked).await;
    told.into_iter().flatten().collect()
}

/// Compares clocks with the other voters. A leader whose clock is far from those of
/// most hands over: it dates what all others have to live with, and refuses their
/// commands.
async fn mind_clock(core: Arc<Core>) {
    loop {
        sleep(CLOCKS).await;
        if !matches!(*core.leader.borrow(), Leader::Me { .. }) {
            continue;
        }
        let told = others(&core).await;
        let voters = core.membership().voter_ids().count();
        if let Some(heir) = right_clock(core.clock.now(), &told, voters) {
            tracing::error!(
                heir,
                "the clock of this node is far from those of most: another one leads; have all \
                 keep time by NTP"
            );
            // Where it fails it is tried again; what failed is in the log.
            core.hand_over(Some(heir)).await;
        }
    }
}

/// A node that may lead and whose clock is near those of a majority of all `voters`, if
/// `mine` is far from it.
fn right_clock(mine: Millis, others: &[Other], voters: usize) -> Option<u64> {
    let apart = |a: Millis, b: Millis| a.max(b).since(a.min(b));
    let agrees = |clock: Millis| {
        let near = others
            .iter()
            .filter(|other| apart(clock, other.clock) <= NEAR);
        near.count() > voters / 2
    };
    let mut fit = others.iter().filter(|other| other.fit);
    let right = fit.find(|other| agrees(other.clock))?;
    (apart(mine, right.clock) > FAR).then_some(right.node)
}

impl Core {
    /// Whether there is room for the next snapshot: it is about as long as the newest
    /// one, and the engine may be writing as well.
    pub(crate) fn has_room_for_snapshot(&self) -> bool {
        let newest = self.shared.snapshots.newest();
        let needed = newest.map_or(0, |stored| 2 * stored.bytes());
        self.disk.has_room_for(needed)
    }

    /// Why a command is not taken here while the disk is nearly full. Where another
    /// node is about to lead, it is only a matter of waiting.
    pub(crate) fn no_room(&self) -> MetaError {
        match self.nobody_has_room.load(Ordering::Relaxed) {
            true => MetaError::Full(
                "the disks of the nodes with metadata are nearly full: make room on them".into(),
            ),
            false => MetaError::Unavailable("the disk of the leader is nearly full".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_wrong_only_against_a_majority() {
        let at = |seconds| Millis::from_seconds(1_000_000 + seconds);
        let far = FAR.as_secs() + 60;
        // (mine, others, voters, heir)
        let story: [(u64, &[u64], usize, Option<u64>); 6] = [
            (0, &[1, 2], 3, None),
            (0, &[far, far + 1], 3, Some(0)),
            (far, &[0, 0], 3, Some(0)),
            // One against one, and one of three does not answer.
            (0, &[far], 2, None),
            (0, &[far], 3, None),
            // Each has its own.
            (0, &[far, 3 * far], 3, None),
        ];
        for (mine, clocks, voters, heir) in story {
            let others = clocks.iter().zip(0..).map(|(clock, node)| Other {
                node,
                clock: at(*clock),
                fit: true,
            });
            let mut others: Vec<Other> = others.collect();
            assert_eq!(right_clock(at(mine), &others, voters), heir, "{clocks:?}");
            // A witness tells the time and does not lead.
            others
                .iter_mut()
                .take(1)
                .for_each(|other| other.fit = false);
            let next = heir.map(|heir| heir + 1);
            assert_eq!(right_clock(at(mine), &others, voters), next, "{clocks:?}");
        }
    }
}
