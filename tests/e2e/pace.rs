//! How fast mail leaves to one destination.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_route::testing::{Data, DnsServer};
use postrider_tests::{Act, Peer, Stage};
use tokio::time::{Instant, sleep};

use crate::ALICE;
use crate::outbound::{queue_is_empty, send, submission, world_of, world_with};

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

#[tokio::test]
async fn who_writes_to_many_keeps_nobody_waiting() -> anyhow::Result<()> {
    const MANY: usize = 500;
    let peer = Peer::scripted(|stage, _, _| match stage {
        Stage::End => Act::AcceptAfter(Duration::from_millis(50)),
        _ => Act::Accept,
    })
    .await?;
    let dns = DnsServer::start().await;
    dns.add_zone("outside.test", false);
    for number in 0..MANY {
        let name = format!("d{number:03}.outside.test");
        dns.add(&name, Data::address(peer.address().ip()));
    }
    let more = [("POSTRIDER__QUEUE__CONNECTIONS", "20")];
    let node = world_of(&peer, &dns, &more).await?;
    let mut smtp = submission(&node).await?;
    smtp.expect(250, &format!("MAIL FROM:<{ALICE}>")).await?;
    for number in 0..MANY {
        let to = format!("RCPT TO:<carl@d{number:03}.outside.test>");
        smtp.expect(250, &to).await?;
    }
    smtp.expect(354, "DATA").await?;
    smtp.expect(250, "Subject: to many\r\n\r\n.").await?;
    // The first hundred leave as those of a message for few do.
    peer.has_taken(150).await?;
    let begun = Instant::now();
    for to in ["dora@outside.test", "dora@d499.outside.test"] {
        let reply = smtp.deliver(ALICE, to, "Subject: to one\r\n\r\n").await?;
        anyhow::ensure!(reply.code == 250, "{reply:?}");
    }
    let before = peer.taken().len();
    let taken = peer.has_taken(MANY + 2).await?;
    let mut places = taken.iter().enumerate();
    let last = places.rfind(|(_, it)| it.recipients.iter().any(|to| to.contains("dora@")));
    let (last, _) = last.expect("both have arrived");
    println!(
        "{before} of {MANY} were taken as the others came, {last} before the last of these; all in {:.1?}",
        begun.elapsed(),
    );
    // As many as are on their way at once may come between.
    assert!(last < before + 60, "{last} of {MANY} came before it");
    queue_is_empty(&node).await?;
    node.finish().await
}

#[tokio::test]
async fn a_server_that_asks_for_less_is_left_alone_and_then_gets_all() -> anyhow::Result<()> {
    let peer = Peer::scripted(|stage, visit, _| match (stage, visit) {
        (Stage::Mail, 0) => Act::Reply("421 4.7.0 too many messages".into()),
        _ => Act::Accept,
    })
    .await?;
    let more = [("POSTRIDER__QUEUE__LONGEST_REST", "5s")];
    let (node, _dns) = world_with(&peer, &more).await?;
    send(&node, &["carl@outside.test"], "first").await?;
    let deadline = Instant::now() + Duration::from_secs(60);
    let rests = loop {
        let list = node.api("/v1/queue/destinations").await?;
        if list["items"][0]["not_before"].is_string() {
            break list;
        }
        anyhow::ensure!(Instant::now() < deadline, "it does not rest: {list}");
        sleep(Duration::from_millis(20)).await;
    };
    let reason = "the server asks for fewer messages";
    assert_eq!(rests["items"][0]["last_error"], reason, "{rests}");
    send(&node, &["dora@outside.test"], "second").await?;
    peer.has_taken(2).await?;
    // The second one was not tried meanwhile.
    assert_eq!(peer.visits(Stage::Mail), 3);
    queue_is_empty(&node).await?;
    node.finish().await
}
