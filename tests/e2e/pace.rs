//! How fast mail leaves to one destination.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_route::testing::{Data, DnsServer};
use postrider_tests::{Act, Peer, Stage};
use tokio::time::Instant;

use crate::ALICE;
use crate::outbound::{queue_is_empty, submission, world_of};

/// When a peer took its messages.
type Times = Arc<Mutex<Vec<Instant>>>;

/// A peer that notes when it takes a message.
async fn peer(address: SocketAddr) -> anyhow::Result<(Peer, Times)> {
    let times = Times::default();
    let noted = times.clone();
    let script = move |stage, _, _: &str| {
        if stage == Stage::End {
            noted.lock().push(Instant::now());
        }
        Act::Accept
    };
    Ok((Peer::listening(address, "PIPELINING", script).await?, times))
}

#[tokio::test]
async fn messages_to_a_destination_are_spaced_and_others_do_not_wait() -> anyhow::Result<()> {
    let (slow, slow_times) = peer(SocketAddr::from(([127, 0, 0, 2], 0))).await?;
    let free = SocketAddr::from(([127, 0, 0, 40], slow.address().port()));
    let (free, free_times) = peer(free).await?;
    let dns = DnsServer::start().await;
    dns.add_zone("outside.test", false);
    dns.add("free.outside.test", Data::address(free.address().ip()));
    let more = [("POSTRIDER__QUEUE__RATE_PER_DESTINATION", "60")];
    let node = world_of(&slow, &dns, &more).await?;
    let begun = Instant::now();
    let mut smtp = submission(&node).await?;
    let mut to = vec!["carl@outside.test"; 6];
    to.push("carl@free.outside.test");
    for to in to {
        let reply = smtp.deliver(ALICE, to, "Subject: paced\r\n\r\n").await?;
        anyhow::ensure!(reply.code == 250, "{reply:?}");
    }
    slow.has_taken(6).await?;
    let slow_times = slow_times.lock().clone();
    for (place, taken) in (0u32..).zip(&slow_times) {
        let earliest = begun + Duration::from_secs(1) * place;
        assert!(*taken >= earliest, "message {place} of {slow_times:?}");
    }
    let other = free_times.lock().first().copied();
    assert!(
        other.is_some_and(|other| other < slow_times[5]),
        "it came before the last one of the others"
    );
    queue_is_empty(&node).await?;
    node.finish().await
}
