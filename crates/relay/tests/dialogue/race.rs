//! Which of several addresses is taken.

use std::net::SocketAddr;

use postrider_relay::{Connector, Peer, Settings};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, Instant, timeout};

use crate::peer::NAME;

fn peer(address: SocketAddr) -> Peer {
    Peer {
        host: NAME.into(),
        address,
        source: None,
        implicit_tls: false,
    }
}

/// An address at which connections neither come about nor fail, as long as the rest is
/// kept: its queue of connections is full.
async fn silent() -> (SocketAddr, Socket, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&free.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    let wait = Duration::from_millis(300);
    while let Ok(Ok(stream)) = timeout(wait, TcpStream::connect(address)).await {
        waiting.push(stream);
    }
    (address, socket, waiting)
}

/// One at which nobody listens.
async fn closed() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn an_address_that_is_silent_or_closed_keeps_nobody_waiting() {
    let (silent, _socket, _waiting) = silent().await;
    let closed = closed().await;
    let alive = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let alive = (alive.local_addr().unwrap(), alive);
    let connector = Connector::new(Settings::default(), "client.example.test", &[]).unwrap();
    let entrants = [silent, closed, alive.0].map(peer).to_vec();
    let begun = Instant::now();
    let race = connector.race(entrants, |peer| peer).await;
    assert!(begun.elapsed() < Settings::default().connect_timeout / 3);
    let (first, _) = race.first.unwrap();
    assert_eq!(first.address, alive.0);
    let failed: Vec<_> = race.failed.iter().map(|(peer, _)| peer.address).collect();
    assert_eq!(failed, [closed]);
    // It may come to answer, should the first be of no use.
    assert_eq!(race.left, [peer(silent)]);

    // Without any other one is told what is wrong with each.
    let race = connector.race(vec![peer(closed)], |peer| peer).await;
    assert!(race.first.is_none() && race.left.is_empty());
    assert!(race.failed[0].1.text.contains("cannot connect to"));
}
