//! A leader that is stopped in order hands over first.

use std::time::{Duration, Instant};

use anyhow::ensure;
use postrider_tests::{Addresses, Cluster, Plan};

use crate::{ALICE, count, message, smtp, start_alone};

/// Messages after the node has ended.
const AFTER: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_leader_costs_a_writer_no_election() -> anyhow::Result<()> {
    let mut turn = start_alone(Plan::default()).await?;
    let cluster = &mut turn.cluster;
    let mut sent = 0;
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let leader = cluster.leader().await?;
        let at = cluster.node((leader + 1) % 3).addresses().clone();
        pauses.push(write_while_it_stops(cluster, leader, &at, &mut sent).await?);
        cluster.node_mut(leader).start_again().await?;
        cluster.until_settled().await?;
    }
    println!("longest pause of a writer while the leader stops: {pauses:.1?}");
    assert!(pauses.iter().all(|pause| *pause < Duration::from_secs(2)));
    for (_, member) in cluster.nodes() {
        assert_eq!(count(member.addresses(), ALICE).await?, sent);
    }
    turn.cluster.finish().await
}

/// Stops the leader while a client of another node writes, and some more after
/// that; the client's longest wait.
async fn write_while_it_stops(
    cluster: &mut Cluster,
    leader: usize,
    at: &Addresses,
    sent: &mut usize,
) -> anyhow::Result<Duration> {
    let mut smtp = smtp(at.smtp).await?;
    let stop = cluster.node_mut(leader).stop();
    tokio::pin!(stop);
    let (mut longest, mut ended, mut after) = (Duration::ZERO, false, 0);
    while after < AFTER {
        let began = Instant::now();
        let text = message(&format!("m{sent}"), "x");
        let delivery = smtp.deliver("s@outside.test", ALICE, &text);
        tokio::pin!(delivery);
        let reply = loop {
            tokio::select! {
                reply = &mut delivery => break reply?,
                result = &mut stop, if !ended => {
                    result?;
                    ended = true;
                }
            }
        };
        ensure!(reply.code == 250, "{reply:?}");
        *sent += 1;
        longest = longest.max(began.elapsed());
        after += usize::from(ended);
    }
    Ok(longest)
}
