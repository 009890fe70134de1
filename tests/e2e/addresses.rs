//! Mail out: from which addresses it leaves, and to which it goes.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use postrider_route::testing::{Data, DnsServer};
use postrider_tests::{Act, Peer};

use crate::outbound::{queue_is_empty, send, world, world_of, world_with};

#[tokio::test]
async fn a_host_is_reached_by_the_address_that_answers() -> anyhow::Result<()> {
    let free = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let peer = Peer::listening(free, "PIPELINING", |_, _, _| Act::Accept).await?;
    let dns = DnsServer::start().await;
    dns.add_zone("outside.test", false);
    // Nothing listens there at the peer's port.
    let dead = Ipv4Addr::new(127, 0, 0, 9).into();
    dns.add("mx.outside.test", Data::address(dead));
    let node = world_of(&peer, &dns, &[]).await?;
    send(&node, &["carl@outside.test"], "over IPv6").await?;
    let taken = peer.has_taken(1).await?;
    assert!(taken[0].content.contains("Subject: over IPv6"));
    queue_is_empty(&node).await?;
    node.finish().await
}

#[tokio::test]
async fn mail_leaves_from_the_addresses_that_it_is_told_to() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let sources = "[\"127.0.0.31\", \"127.0.0.32\", \"::1\"]";
    let more = [
        ("POSTRIDER__QUEUE__SOURCE_ADDRESSES", sources),
        ("POSTRIDER__QUEUE__MESSAGES_PER_CONNECTION", "1"),
    ];
    let (node, _dns) = world_with(&peer, &more).await?;
    let ours = [31, 32].map(|last| IpAddr::from([127, 0, 0, last]));
    let mut seen = BTreeSet::new();
    for count in 1.. {
        send(&node, &["carl@outside.test"], "from somewhere").await?;
        let taken = peer.has_taken(count).await?;
        seen.extend(taken.iter().map(|taken| taken.client));
        if seen.len() == ours.len() {
            break;
        }
    }
    assert_eq!(seen, BTreeSet::from(ours));
    node.finish().await
}

#[tokio::test]
async fn mail_for_an_address_goes_there_without_a_name() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let (node, _dns) = world(&peer).await?;
    send(&node, &["carl@[127.0.0.2]"], "by address").await?;
    let taken = peer.has_taken(1).await?;
    let recipient = &taken[0].recipients[0];
    assert!(recipient.contains("<carl@[127.0.0.2]>"), "{taken:?}");
    // And over IPv6.
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, peer.address().port()));
    let other = Peer::listening(address, "PIPELINING", |_, _, _| Act::Accept).await?;
    send(&node, &["carl@[IPv6:::1]"], "by address").await?;
    let taken = other.has_taken(1).await?;
    assert!(taken[0].content.contains("Subject: by address"));
    queue_is_empty(&node).await?;
    node.finish().await
}
