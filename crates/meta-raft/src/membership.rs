//! Who is a member of the Raft group, and changes of it. The leader does them,
//! one at a time; every one may be repeated. Node ids are given out elsewhere:
//! here one is never given to another disk.

mod change;

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{BasicNode, Instant as _};
use postrider_rpc::proto::membership_client::MembershipClient;
use postrider_rpc::tonic::Request;
use postrider_rpc::tonic::transport::Channel;
use postrider_rpc::{FORWARDED, Failure, proto};
use serde::Serialize;
use tokio::time::Instant;

use crate::bucket::BUCKET;
use crate::forward::{at_leader, within};
use crate::leader::Core;
use crate::node::Node;

/// The most voters: more cost every write and make nothing safer.
pub const MAX_VOTERS: usize = 7;
/// How long a call to admit a node waits for it to catch up; then it is called
/// again.
const CATCH_UP: Duration = Duration::from_secs(20);
/// How long a change of the membership may take, once it is begun.
const CHANGE: Duration = Duration::from_secs(15);

/// The members, as one of them knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Members {
    /// The leader, if one is known.
    pub leader: Option<u64>,
    /// The term.
    pub term: u64,
    /// All of them, by their ids.
    pub members: Vec<Member>,
}

/// A member of the Raft group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its id.
    pub node: u64,
    /// HOST:PORT. Empty for a node that is alone.
    pub address: String,
    /// It votes. Otherwise it is still catching up.
    pub voter: bool,
    /// It serves nobody and does not stay leader.
    pub witness: bool,
    /// The last entry that it is known to have. The leader knows it of all,
    /// others of themselves.
    pub matched: Option<u64>,
    /// Milliseconds since it last answered the leader; nothing where that is
    /// not known. Zero for the node asked.
    pub silent_ms: Option<u64>,
}

impl Node {
    /// The members as this node knows them. The leader knows how far each has
    /// come.
    pub fn members(&self) -> Members {
        self.core().members()
    }

    /// Makes the node `id`, which is reached at `address` and runs, a voter once
    /// it has caught up. A member with the same address that has not answered
    /// for some seconds is the same machine with a new disk and goes out by the
    /// same change. May be repeated: a voter with this address is done.
    ///
    /// [`Failure::Unavailable`]: not yet; ask again. [`Failure::Failed`]: not
    /// at all, with the reason.
    pub async fn admit(&self, id: u64, address: &str) -> Result<(), Failure> {
        let core = self.core();
        let deadline = Instant::now() + CATCH_UP + CHANGE;
        let there = |_, channel, limit| async move {
            let request = proto::AdmitRequest {
                node: id,
                address: address.to_owned(),
            };
            let mut client = client(channel);
            client.admit(passed_on(request, limit)).await?;
            Ok(())
        };
        let here = || core.admit(id, address, deadline - CHANGE);
        at_leader(core, deadline, CATCH_UP + CHANGE, here, there).await
    }

    /// Takes the node `id` out of the group; the leader hands over before it goes
    /// itself. May be repeated. Refused ([`Failure::Failed`], with the reason)
    /// where no majority of those that stay answers: then nothing could be
    /// written any more. A member that does not answer may always go.
    pub async fn expel(&self, id: u64) -> Result<(), Failure> {
        let core = self.core();
        let there = |_, channel, limit| async move {
            let request = proto::ExpelRequest { node: id };
            client(channel).expel(passed_on(request, limit)).await?;
            Ok(())
        };
        let deadline = Instant::now() + CHANGE;
        at_leader(core, deadline, CHANGE, || core.expel(id), there).await
    }

    /// Gives the leadership to `to`, or to whichever voter keeps up best. Who
    /// leads then.
    pub async fn move_leader(&self, to: Option<u64>) -> Result<u64, Failure> {
        let core = self.core();
        // Who led when it was asked first. That another leads since then may be
        // known here before the answer is: asked again, that one would give the
        // leadership away in its turn, and so on.
        let first = OnceLock::new();
        let moved = |leader: u64| match to {
            Some(to) => leader == to,
            None => *first.get_or_init(|| leader) != leader,
        };
        let there = |leader: u64, channel, limit| {
            let moved = moved(leader);
            async move {
                if moved {
                    return Ok(leader);
                }
                let request = proto::MoveLeaderRequest {
                    to: to.unwrap_or(0),
                };
                let mut client = client(channel);
                let reply = client.move_leader(passed_on(request, limit)).await?;
                Ok(reply.into_inner().leader)
            }
        };
        let here = || {
            let moved = moved(core.node_id);
            async move {
                match moved {
                    true => Ok(core.node_id),
                    false => core.move_leader(to).await,
                }
            }
        };
        let deadline = Instant::now() + CHANGE;
        at_leader(core, deadline, CHANGE, here, there).await
    }

    /// Asks to be admitted, at `seeds` (HOST:PORT) and at the members that this
    /// node knows of, one after the other; see [`Self::admit`]. For a node that
    /// is not a member, or not under this address: it may know no leader.
    pub async fn join(&self, seeds: &[String]) -> Result<(), Failure> {
        self.core().join(self.address(), seeds).await
    }
}

impl Core {
    /// The members as known here.
    pub(crate) fn members(&self) -> Members {
        // Not held while more is looked up in it below.
        let metrics = self.raft.metrics().borrow_watched().clone();
        let membership = &metrics.membership_config;
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let witnesses = self.witnesses.lock().clone();
        let member = |(id, node): (&u64, &BasicNode)| {
            let mine = *id == self.node_id;
            let matched = metrics.replication.as_ref().and_then(|all| *all.get(id)?);
            let silence = match &metrics.heartbeat {
                Some(_) => self.silence(*id),
                None => None,
            };
            let silent = silence.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
            Member {
                node: *id,
                address: node.addr.clone(),
                voter: voters.contains(id),
                witness: witnesses.contains(id),
                matched: match mine {
                    true => metrics.last_log_index,
                    false => matched.map(|id| id.index),
                },
                silent_ms: if mine { Some(0) } else { silent },
            }
        };
        Members {
            leader: metrics.current_leader,
            term: metrics.current_term,
            members: membership.nodes().map(member).collect(),
        }
    }

    /// How long a member has not answered this node, which leads: since its last
    /// answer, or since this node leads.
    fn silence(&self, id: u64) -> Option<Duration> {
        let led = || self.led_since.lock().map(|since| since.elapsed());
        self.heard(id).or_else(led)
    }

    /// How long ago a member answered this node, which leads; None: not yet.
    fn heard(&self, id: u64) -> Option<Duration> {
        if id == self.node_id {
            return Some(Duration::ZERO);
        }
        if id == BUCKET {
            return self.bucket.as_ref()?.silence();
        }
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let heard = metrics.heartbeat.as_ref().and_then(|all| *all.get(&id)?);
        heard.map(|at| at.into_inner().elapsed())
    }

    /// Whether a member may answer: it has done so lately, or there was no time
    /// for it yet.
    fn may_answer(&self, id: u64) -> bool {
        self.silence(id)
            .is_some_and(|silence| silence < self.patience_with(id))
    }

    /// Whether a member has answered lately.
    pub(crate) fn answers(&self, id: u64) -> bool {
        self.heard(id)
            .is_some_and(|ago| ago < self.patience_with(id))
    }

    /// How long a member may be silent.
    fn patience_with(&self, id: u64) -> Duration {
        match id {
            // It is asked only now and then while it is not needed.
            BUCKET => 3 * crate::bucket::IDLE,
            _ => self.patience,
        }
    }
}

fn client(channel: Channel) -> MembershipClient<Channel> {
    MembershipClient::new(channel)
}

/// A request that goes to the leader and no further.
fn passed_on<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = within(message, limit);
    let yes = "1".parse().expect("it is ASCII");
    request.metadata_mut().insert(FORWARDED, yes);
    request
}
