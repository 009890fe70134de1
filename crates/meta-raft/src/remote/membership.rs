//! The membership of the Raft group, seen and changed from outside of it. Any
//! voter passes on what only the leader does.

use std::time::Duration;

use futures::future::join_all;
use postrider_rpc::{Failure, proto};
use tokio::time::Instant;

use super::call::{Missed, Voter, timed};
use super::voters::Address;
use super::{Remote, Trail};
use crate::membership::{Member, Members};
use crate::payload;

/// To tell the members a node needs nobody else.
const TOLD: Duration = Duration::from_secs(1);
/// A change takes its time: entries are committed, and leaders change.
const CHANGED: Duration = Duration::from_secs(20);

impl Remote {
    /// The members as the leader knows them; as another voter does where the
    /// leader does not answer.
    pub async fn members(&self) -> Result<Members, Failure> {
        let shared = self.shared();
        let deadline = shared.deadline();
        let mut trail = Trail::default();
        loop {
            let ask = async |address: Address| {
                let asked = match Voter::at(&shared.channels, &address) {
                    Ok(voter) => voter.members(TOLD).await,
                    Err(missed) => Err(missed),
                };
                (address, asked)
            };
            let asked = shared.voters.order().into_iter().map(ask);
            let mut best = None;
            for (address, asked) in join_all(asked).await {
                match asked {
                    Ok(reply) => {
                        let members = members(reply);
                        let worth = (members.term, leads(&members, &address));
                        if best.as_ref().is_none_or(|(least, _)| *least < worth) {
                            best = Some((worth, members));
                        }
                    }
                    Err(missed) => trail.note(&address, &missed.failure),
                }
            }
            if let Some((_, members)) = best {
                return Ok(members);
            }
            if Instant::now() >= deadline {
                return Err(payload::failure(trail.late(shared.timeout)));
            }
            shared.pause(deadline).await;
        }
    }

    /// Takes the node `id` out of the group. May be repeated.
    pub async fn expel(&self, id: u64) -> Result<(), Failure> {
        let ask = move |voter: Voter| async move {
            let request = timed(proto::ExpelRequest { node: id }, CHANGED);
            Ok(voter.membership().expel(request).await?)
        };
        self.anywhere(ask).await?;
        Ok(())
    }

    /// Gives the leadership to the voter `to`, or to whichever keeps up best.
    /// The new leader.
    pub async fn move_leader(&self, to: Option<u64>) -> Result<u64, Failure> {
        let ask = move |voter: Voter| async move {
            let request = proto::MoveLeaderRequest {
                to: to.unwrap_or(0),
            };
            let mut client = voter.membership();
            let moved = client.move_leader(timed(request, CHANGED)).await?;
            Ok(moved.into_inner().leader)
        };
        self.anywhere(ask).await
    }

    /// Asks the leader, else another voter, until one answers or the time is up.
    async fn anywhere<T, F>(&self, ask: impl Fn(Voter) -> F + Send + Sync) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Missed>> + Send,
    {
        let shared = self.shared();
        let deadline = shared.deadline();
        let mut trail = Trail::default();
        loop {
            let leader = shared.voters.leader();
            let leader = leader.filter(|leader| !shared.voters.is_out(leader));
            let others = shared.voters.order();
            let others = others
                .into_iter()
                .filter(|other| Some(other) != leader.as_ref());
            let all: Vec<Address> = leader.iter().cloned().chain(others).collect();
            for address in all {
                let asked = match Voter::at(&shared.channels, &address) {
                    Ok(voter) => ask(voter).await,
                    Err(missed) => Err(missed),
                };
                match asked {
                    Ok(answer) => return Ok(answer),
                    Err(missed) if missed.passing() => trail.note(&address, &missed.failure),
                    Err(missed) => return Err(missed.failure),
                }
            }
            if Instant::now() >= deadline {
                return Err(payload::failure(trail.late(shared.timeout)));
            }
            shared.pause(deadline).await;
        }
    }
}

fn members(reply: proto::MembersReply) -> Members {
    let members = reply.members.into_iter().map(|member| Member {
        node: member.node,
        address: member.address,
        voter: member.voter,
        matched: Some(member.matched).filter(|index| *index > 0),
        silent_ms: member.silent_ms,
        witness: member.witness,
    });
    Members {
        leader: Some(reply.leader).filter(|leader| *leader > 0),
        term: reply.term,
        members: members.collect(),
    }
}

/// Whether it is the leader that is reached at `address`.
fn leads(members: &Members, address: &str) -> bool {
    let mut all = members.members.iter();
    all.any(|member| Some(member.node) == members.leader && member.address == address)
}
