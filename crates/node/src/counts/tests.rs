//! Nodes over real connections on loopback: what one counts, the others know.

use std::net::IpAddr;

use postrider_net::{Busy, Gate, Key, Permit, RateLimiter};
use postrider_rpc::proto::nodes_server::{Nodes, NodesServer};
use postrider_rpc::proto::{ReportReply, ReportRequest};
use postrider_rpc::tonic::service::Routes;
use postrider_rpc::tonic::{Request, Response, Status, Streaming};
use postrider_rpc::{Guard, Standing, Timeouts, Tls, serve};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

/// How long a count may take until it is known everywhere.
const SOON: Duration = Duration::from_millis(300);
/// For what waits for connections, streams and graces.
const LONG: Duration = Duration::from_secs(20);
const BRIEF: Duration = Duration::from_millis(300);
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

struct Service(Exchange);

#[postrider_rpc::tonic::async_trait]
impl Nodes for Service {
    async fn report(&self, _: Request<ReportRequest>) -> Result<Response<ReportReply>, Status> {
        Err(Status::unimplemented("not here"))
    }

    type CountsStream = Parts;

    async fn counts(
        &self,
        request: Request<Streaming<CountsPart>>,
    ) -> Result<Response<Parts>, Status> {
        self.0.accept(request).await
    }
}

struct Node {
    id: NodeId,
    address: String,
    exchange: Exchange,
    leader: watch::Sender<Leader>,
    logins: RateLimiter,
    gate: Arc<Gate>,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    async fn start(id: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let counts = Counts::new();
        let exchange = Exchange::with_grace(NodeId(id), counts.clone(), BRIEF);
        let (leader, followed) = watch::channel(Leader::None);
        let channels = Channels::new(Tls::Off, Timeouts::default());
        let run = exchange
            .clone()
            .run(followed, channels, CancellationToken::new());
        let routes = Routes::new(NodesServer::new(Service(exchange.clone())));
        let server = async move {
            let guard = Guard::new(|_| Standing::Voter);
            let end = std::future::pending();
            let timeouts = Timeouts::default();
            serve(listener, &Tls::Off, timeouts, guard, routes, end).await;
        };
        Self {
            id: NodeId(id),
            address,
            exchange,
            leader,
            logins: counts.rate("logins", 10, Duration::from_secs(600), 1000),
            gate: counts.gate("imap", 100, 2),
            tasks: vec![tokio::spawn(run), tokio::spawn(server)],
        }
    }

    fn enter(&self) -> Result<Permit, Busy> {
        self.gate.enter(CLIENT)
    }

    fn is_full(&self) -> bool {
        matches!(self.enter(), Err(Busy::PerAddress))
    }

    fn refuses_logins(&self) -> bool {
        self.logins.is_exhausted(Key::address(CLIENT))
    }

    fn fail_logins(&self, times: u32) {
        (0..times).for_each(|_| self.logins.record(Key::address(CLIENT)));
    }

    /// As a process that is killed: its connections break, nothing is said.
    fn kill(self) {
        drop(self);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// All follow the first, and have heard what it knows.
async fn follow_first(nodes: &[&Node]) {
    let (first, others) = nodes.split_first().unwrap();
    first.leader.send_replace(Leader::Me);
    for node in others {
        let leader = Leader::Other {
            node: first.id,
            address: first.address.clone(),
        };
        if *node.leader.borrow() != leader {
            // Somebody lost, until the leader's node says who is there.
            let until = Instant::now() + 2 * LONG;
            node.exchange.state().lost.insert(u64::MAX, until);
            node.leader.send_replace(leader);
        }
    }
    let heard = || others.iter().all(|n| n.exchange.state().lost.is_empty());
    until(LONG, heard).await;
    assert_eq!(first.exchange.state().links.len(), others.len());
}

#[track_caller]
fn until(within: Duration, mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let asked = std::panic::Location::caller();
    async move {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < within, "not within {within:?}: {asked}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn failures_at_one_node_are_refused_at_the_others() {
    let [a, b, c] = [
        Node::start(1).await,
        Node::start(2).await,
        Node::start(3).await,
    ];
    follow_first(&[&a, &b, &c]).await;
    b.fail_logins(6);
    c.fail_logins(4);
    until(SOON, || {
        a.refuses_logins() && b.refuses_logins() && c.refuses_logins()
    })
    .await;
    // One that starts now begins with the present counts.
    let late = Node::start(4).await;
    late.leader.send_replace(Leader::Other {
        node: a.id,
        address: a.address.clone(),
    });
    until(LONG, || late.refuses_logins()).await;
}

#[tokio::test]
async fn connections_to_several_nodes_add_up() {
    let [a, b, c] = [
        Node::start(1).await,
        Node::start(2).await,
        Node::start(3).await,
    ];
    follow_first(&[&a, &b, &c]).await;
    let at_a = a.enter().unwrap();
    let at_b = b.enter().unwrap();
    until(SOON, || c.is_full() && a.is_full() && b.is_full()).await;
    drop(at_b);
    until(SOON, || !c.is_full() && !a.is_full()).await;
    let at_c = c.enter().unwrap();
    until(SOON, || a.is_full() && b.is_full()).await;
    drop((at_a, at_c));
    until(SOON, || !a.is_full() && !b.is_full() && !c.is_full()).await;
}

#[tokio::test]
async fn another_leader_knows_what_the_dead_one_knew() {
    let [a, b, c, d] = [
        Node::start(1).await,
        Node::start(2).await,
        Node::start(3).await,
        Node::start(4).await,
    ];
    follow_first(&[&a, &b, &c, &d]).await;
    // What is counted here is known to all but the one that comes later.
    a.fail_logins(5);
    b.fail_logins(5);
    let _at_b = b.enter().unwrap();
    let _at_c = c.enter().unwrap();
    until(SOON, || {
        [&a, &b, &c, &d]
            .iter()
            .all(|n| n.refuses_logins() && n.is_full())
    })
    .await;
    a.kill();
    follow_first(&[&d, &b, &c]).await;
    let late = Node::start(5).await;
    follow_first(&[&d, &b, &c, &late]).await;
    for node in [&b, &c, &d, &late] {
        assert!(node.refuses_logins());
        assert!(node.is_full());
    }
    // Longer than what is lost is kept.
    sleep(BRIEF * 2).await;
    assert!([&b, &c, &d, &late].iter().all(|n| n.is_full()));
    // And it goes on.
    drop(_at_b);
    until(SOON, || !late.is_full() && !c.is_full()).await;
}

#[tokio::test]
async fn a_dead_node_holds_no_connections() {
    let [a, b, c] = [
        Node::start(1).await,
        Node::start(2).await,
        Node::start(3).await,
    ];
    follow_first(&[&a, &b, &c]).await;
    let held = [b.enter().unwrap(), b.enter().unwrap()];
    b.fail_logins(10);
    until(SOON, || a.is_full() && c.is_full() && c.refuses_logins()).await;
    b.kill();
    // What it counted stays; what it held does not.
    until(LONG, || !a.is_full() && !c.is_full()).await;
    assert!(a.refuses_logins() && c.refuses_logins());
    drop(held);
    // The leader's own go with it too, though nobody leads after it.
    let held = [a.enter().unwrap(), a.enter().unwrap()];
    until(SOON, || c.is_full()).await;
    a.kill();
    until(LONG, || !c.is_full()).await;
    drop(held);
}

#[tokio::test]
async fn a_node_that_starts_again_takes_the_place_of_its_former_process() {
    let [a, b, c] = [
        Node::start(1).await,
        Node::start(2).await,
        Node::start(3).await,
    ];
    follow_first(&[&a, &b, &c]).await;
    let held = [b.enter().unwrap(), b.enter().unwrap()];
    b.fail_logins(4);
    until(SOON, || a.is_full() && c.is_full()).await;
    b.kill();
    let again = Node::start(2).await;
    follow_first(&[&a, &again, &c]).await;
    until(LONG, || !a.is_full() && !c.is_full() && !again.is_full()).await;
    // It counts on from where the former one was.
    again.fail_logins(6);
    until(SOON, || c.refuses_logins() && again.refuses_logins()).await;
    drop(held);
}

#[tokio::test]
async fn a_stream_that_broke_unseen_ends_with_the_next_of_its_node() {
    let node = Node::start(1).await;
    node.exchange.follow(&Leader::Me);
    let held = |origin| {
        let key = Key::address(CLIENT);
        let held = vec![postrider_net::Held {
            key,
            origin,
            count: 2,
        }];
        postrider_net::Report {
            events: Vec::new(),
            held: vec![("imap".into(), held)],
        }
    };
    let (first, _waiting) = node.exchange.link(2, 77, true).unwrap();
    node.exchange.0.counts.merge(&held(77), true);
    assert!(node.is_full());
    // Of the same process: it still holds them.
    let (second, _waiting) = node.exchange.link(2, 77, true).unwrap();
    assert!(first.end.is_cancelled() && !second.end.is_cancelled());
    drop(first);
    assert!(node.is_full());
    assert!(node.exchange.state().lost.is_empty());
    // Of another process: the former is dead.
    let (third, _waiting) = node.exchange.link(2, 78, true).unwrap();
    assert!(second.end.is_cancelled() && !third.end.is_cancelled());
    assert!(!node.is_full());
    drop(second);
    assert_eq!(node.exchange.state().links.len(), 1);
    // And a node that does not lead takes none.
    node.exchange.follow(&Leader::None);
    assert!(third.end.is_cancelled());
    assert!(node.exchange.link(2, 78, true).is_err());
}

#[tokio::test]
async fn without_a_leader_a_node_counts_alone() {
    let a = Node::start(1).await;
    a.fail_logins(10);
    assert!(a.refuses_logins());
    // And tells it as soon as there is one.
    let b = Node::start(2).await;
    follow_first(&[&b, &a]).await;
    until(SOON, || b.refuses_logins()).await;
}

#[test]
fn parts_are_of_bounded_size_and_lose_nothing() {
    let counts = Counts::new();
    counts.note_changes();
    let limit = counts.rate("logins", 10, Duration::from_secs(600), 50_000);
    let all = 3 * MOST as u64 + 5;
    (0..all).for_each(|n| limit.record(Key::from_bits(n)));
    let gate = counts.gate("imap", 10, 10);
    let _held = gate.enter(CLIENT).unwrap();
    let parts = wire::parts(counts.everything());
    assert_eq!(parts.len(), 4);
    let size = |part: &CountsPart| {
        let events = part.events.iter().map(|events| events.counts.len());
        let held = part.held.iter().map(|held| held.counts.len());
        events.chain(held).sum::<usize>()
    };
    assert!(parts.iter().all(|part| size(part) <= MOST));
    let other = Counts::new();
    let mut heard = wire::Heard::new(0);
    for part in parts {
        heard.take(&other, part).unwrap();
    }
    assert_eq!(other.everything().events[0].2.len() as u64, all);
    assert_eq!(other.holders(), [counts.origin()]);
}
