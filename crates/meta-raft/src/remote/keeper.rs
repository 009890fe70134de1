//! Keeps a client's knowledge of the voters fresh: asks each who the members
//! are, and whether it can answer a read. Every few seconds, and often while
//! somebody waits for a leader or a voter is left out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use postrider_meta::query::StoreId;
use postrider_meta::{Query, ReadAt};
use postrider_rpc::Failure;
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::call::{Missed, Voter};
use super::voters::Address;
use crate::payload;

/// Between two rounds when all is well.
const CALM: Duration = Duration::from_secs(3);
/// While a voter is left out.
const WATCHFUL: Duration = Duration::from_millis(500);
/// While somebody waits.
const URGENT: Duration = Duration::from_millis(100);
/// A call that waits says so again within this time.
const WAITS: Duration = Duration::from_millis(600);
/// To tell the members a node needs nobody else.
const MEMBERS_LIMIT: Duration = Duration::from_millis(800);
/// To answer a read it needs the leader.
const READ_LIMIT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Members,
    Read,
}

/// Asks until it is dropped. Nobody is asked the same twice at a time, and who
/// is silent holds nobody else up.
pub(super) async fn keep(shared: Arc<Shared>) {
    let Ok(probe) = payload::encode(&Query::from(StoreId {})) else {
        tracing::error!("a query cannot be encoded: the metadata nodes are not looked for");
        return;
    };
    let mut asked = FuturesUnordered::new();
    let mut open: BTreeSet<(Address, Question)> = BTreeSet::new();
    let mut last = Instant::now();
    let mut due = last;
    let mut urgent_until = last;
    // Somebody answered since the round before.
    let mut heard = false;
    loop {
        tokio::select! {
            Some((address, question, answered)) = asked.next(), if !asked.is_empty() => {
                heard |= answered;
                open.remove(&(address, question));
            }
            () = sleep_until(due) => {
                let now = Instant::now();
                let calm = now >= urgent_until;
                let mut questions = Vec::new();
                for address in addresses(&shared, !heard) {
                    // A read is a test that costs more than it tells in a hurry.
                    if calm || shared.voters.is_out(&address) {
                        questions.push((address.clone(), Question::Read));
                    }
                    questions.push((address, Question::Members));
                }
                heard = false;
                for (address, question) in questions {
                    if open.insert((address.clone(), question)) {
                        asked.push(ask(&shared, address, question, &probe));
                    }
                }
                last = now;
                due = now + interval(&shared, calm);
            }
            () = shared.wanted.notified() => {
                urgent_until = Instant::now() + WAITS;
                due = due.min(last + URGENT);
            }
        }
    }
}

fn interval(shared: &Shared, calm: bool) -> Duration {
    match calm {
        false => URGENT,
        true if shared.voters.any_out() => WATCHFUL,
        true => CALM,
    }
}

/// The voters; the seeds too as long as no voter answers.
fn addresses(shared: &Shared, lost: bool) -> BTreeSet<Address> {
    let mut addresses: BTreeSet<Address> = shared.voters.addresses().into_iter().collect();
    if lost {
        addresses.extend(shared.seeds.iter().cloned());
    }
    addresses
}

async fn ask(
    shared: &Shared,
    address: Address,
    question: Question,
    probe: &Bytes,
) -> (Address, Question, bool) {
    let answered = match question {
        Question::Members => members(shared, &address).await,
        Question::Read => read(shared, &address, probe).await,
    };
    if let Err(missed) = &answered {
        shared.voters.leave_out(&address, &missed.failure);
    }
    (address, question, answered.is_ok())
}

async fn members(shared: &Shared, address: &str) -> Result<(), Missed> {
    let voter = Voter::at(&shared.channels, address)?;
    match voter.members(MEMBERS_LIMIT).await {
        Ok(reply) => shared.voters.told(address, reply),
        // It lives, and is of a version that does not tell.
        Err(Missed {
            failure: Failure::Unsupported(_),
            ..
        }) => shared.voters.presume(address),
        Err(missed) => return Err(missed),
    }
    Ok(())
}

async fn read(shared: &Shared, address: &str, probe: &Bytes) -> Result<(), Missed> {
    let voter = Voter::at(&shared.channels, address)?;
    voter
        .query(probe.clone(), ReadAt::Latest, READ_LIMIT)
        .await?;
    shared.voters.take_back(address);
    Ok(())
}
