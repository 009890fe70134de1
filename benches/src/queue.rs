//! A long queue: what reception and reading are worth on a node with so many messages
//! in its queue that cannot leave, beside a node whose queue is empty, and what memory
//! that takes.
//!
//! Both run on the same machine and take turns: while one is measured, the other is
//! stopped (SIGSTOP). A machine is not equally fast from one minute to the next, so
//! that "before" and "after" on one node would compare the minutes, too.
//!
//! The queue is filled as a sender would: by messages to a thousand domains each,
//! which no DNS server knows anything about. While it is measured, the node goes
//! on trying them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::line::Connection;
use crate::report::{self, Figure};
use crate::server::Server;
use crate::{Delivery, Mailbox, delivery, imap};

/// Domains, and so entries of the queue, that one message goes to.
const FAN_OUT: u64 = 1000;
/// How many domains share the mail.
const DOMAINS: u64 = 10_000;
/// How often each node is measured.
const ROUNDS: usize = 5;
/// How long one client reads at a time.
const READING: Duration = Duration::from_secs(3);
/// After a node goes on: for what was due while it was stopped.
const SETTLING: Duration = Duration::from_secs(1);

/// A node that relays for the generator, and finds nobody to send to: nothing
/// answers on the discard port. `PORT` stands for the first digit of its ports.
const SETTINGS: &str = r#"
data_dir = "data"

[smtp]
hostname = "mx.example.test"
trusted_networks = ["127.0.0.0/8"]
max_recipients = 1000

[imap]
plain_login_from_loopback = true

[blob]
folder = "bodies"

[queue.dns]
servers = ["127.0.0.1:9"]

[[listener]]
protocol = "smtp"
listen = ["127.0.0.1:PORT525"]
max_connections_per_address = 1000

[[listener]]
protocol = "imap"
listen = ["127.0.0.1:PORT143"]
max_connections_per_address = 1000

[[listener]]
protocol = "http"
listen = ["127.0.0.1:PORT880"]
"#;

/// Fills the queue of one of two nodes with `entries`, then measures both by turns.
pub(crate) async fn run(
    postrider: &Path,
    dir: &Path,
    messages: u64,
    entries: u64,
) -> anyhow::Result<Vec<Figure>> {
    let mut empty = Node::start(postrider, &dir.join("empty"), 2, messages).await?;
    empty.server.stop()?;
    let mut full = Node::start(postrider, &dir.join("full"), 3, messages).await?;
    let filled = fill(full.smtp, entries).await?;
    full.server.stop()?;
    for round in 0..ROUNDS {
        // Neither always comes after the other.
        if round % 2 == 0 {
            empty.measure().await?;
            full.measure().await?;
        } else {
            full.measure().await?;
            empty.measure().await?;
        }
    }
    let memory = [
        Figure::memory("server memory, queue empty", empty.memory()?),
        Figure::memory("server memory, queue full", full.memory()?),
    ];
    let mut figures = vec![filled];
    for (empty, full) in empty.rounds.into_iter().zip(full.rounds) {
        let empty = Figure::joined(empty)?;
        let full = Figure::joined(full)?.beside(&empty);
        figures.extend([empty.at("queue empty"), full.at("queue full")]);
    }
    figures.extend(memory);
    Ok(figures)
}

/// One of the two nodes.
struct Node {
    server: Server,
    smtp: SocketAddr,
    imap: SocketAddr,
    messages: u64,
    /// Of each scenario its figure in each round.
    rounds: Vec<Vec<Figure>>,
}

impl Node {
    /// A node on ports that begin with `port`, with `messages` to be read.
    async fn start(postrider: &Path, dir: &Path, port: u16, messages: u64) -> anyhow::Result<Self> {
        let settings = SETTINGS.replace("PORT", &port.to_string());
        let node = Self {
            server: Server::start_with(postrider, dir, &settings).await?,
            smtp: ([127, 0, 0, 1], port * 1000 + 525).into(),
            imap: ([127, 0, 0, 1], port * 1000 + 143).into(),
            messages,
            rounds: Vec::new(),
        };
        node.receive("alice@example.test").await?;
        Ok(node)
    }

    /// One round: reception, one client that reads, and several that work. The node
    /// is stopped before and after.
    async fn measure(&mut self) -> anyhow::Result<()> {
        self.server.go_on()?;
        tokio::time::sleep(SETTLING).await;
        let reader = self.mailbox("alice@example.test");
        let figures = [
            self.receive("bench{}@example.test").await?,
            imap::fetch_for(&reader, imap::HEADERS, READING).await?,
            imap::fetch_for(&reader, imap::BODIES, READING).await?,
            imap::mixed(&self.mailbox("bench1@example.test"), 20, self.messages).await?,
        ];
        self.server.stop()?;
        self.rounds.resize_with(figures.len(), Vec::new);
        for (rounds, figure) in self.rounds.iter_mut().zip(figures) {
            rounds.push(figure);
        }
        Ok(())
    }

    async fn receive(&self, recipient: &str) -> anyhow::Result<Figure> {
        let plan = Delivery {
            address: vec![self.smtp],
            recipient: recipient.to_owned(),
            mailboxes: 50,
            connections: 50,
            messages: self.messages,
            size: 4096,
        };
        delivery::run(delivery::Protocol::Smtp, &plan).await
    }

    fn mailbox(&self, user: &str) -> Mailbox {
        Mailbox {
            address: self.imap,
            user: user.to_owned(),
            password: "postrider".to_owned(),
        }
    }

    fn memory(&self) -> anyhow::Result<u64> {
        report::memory(&[self.server.pid()])
    }
}

/// Queues `entries`, by one connection.
async fn fill(address: SocketAddr, entries: u64) -> anyhow::Result<Figure> {
    let mut connection = Connection::open(address, 64 * 1024).await?;
    connection.reply(b'2').await?;
    connection.send(b"EHLO bench.test\r\n").await?;
    connection.reply(b'2').await?;
    let started = Instant::now();
    let messages = entries.div_ceil(FAN_OUT);
    for number in 0..messages {
        let mut envelope = "MAIL FROM:<alice@example.test>\r\n".to_owned();
        for place in 0..FAN_OUT {
            let domain = (number * FAN_OUT + place) % DOMAINS;
            envelope.push_str(&format!("RCPT TO:<user@domain{domain}.test>\r\n"));
        }
        envelope.push_str("DATA\r\n");
        connection.send(envelope.as_bytes()).await?;
        for _ in 0..=FAN_OUT {
            connection.reply(b'2').await?;
        }
        connection.reply(b'3').await?;
        let message = delivery::message(number, "many@domain.test", 4096);
        connection.send(message.as_bytes()).await?;
        connection.reply(b'2').await?;
    }
    connection.send(b"QUIT\r\n").await?;
    ensure!(messages > 0, "nothing to queue");
    let queued = messages * FAN_OUT;
    let name = format!("entries queued, {FAN_OUT} by a message");
    Ok(Figure::rate(name, queued, started.elapsed()))
}
