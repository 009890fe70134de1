//! A long queue: what reception and reading are worth on one node before, and with
//! so many messages in the queue that cannot leave, and what memory that takes.
//!
//! The queue is filled as a sender would: by messages to a thousand domains each,
//! which no DNS server knows anything about. While it is measured, the node goes
//! on trying them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use anyhow::ensure;

use crate::line::Connection;
use crate::report::{self, Figure};
use crate::server::Server;
use crate::{Delivery, Mailbox, delivery, imap};

/// Domains, and so entries of the queue, that one message goes to.
const FAN_OUT: u64 = 1000;
/// How many domains share the mail.
const DOMAINS: u64 = 10_000;
const SMTP: &str = "127.0.0.1:2525";
const IMAP: &str = "127.0.0.1:2143";

/// A node that relays for the generator, and finds nobody to send to: nothing
/// answers on the discard port.
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
listen = ["127.0.0.1:2525"]
max_connections_per_address = 1000

[[listener]]
protocol = "imap"
listen = ["127.0.0.1:2143"]
max_connections_per_address = 1000

[[listener]]
protocol = "http"
listen = ["127.0.0.1:2880"]
"#;

/// Measures with an empty queue, fills it with `entries`, and measures again.
pub(crate) async fn run(
    postrider: &Path,
    dir: &Path,
    messages: u64,
    entries: u64,
) -> anyhow::Result<Vec<Figure>> {
    let server = Server::start_with(postrider, dir, SETTINGS).await?;
    let pid = [server.pid()];
    // What is read.
    delivery::run(
        delivery::Protocol::Smtp,
        &plan("alice@example.test", messages)?,
    )
    .await?;
    let mut figures = measure(messages, "queue empty").await?;
    figures.push(Figure::memory(
        "server memory, queue empty",
        report::memory(&pid)?,
    ));
    figures.push(fill(SMTP.parse()?, entries).await?);
    figures.push(Figure::memory(
        "server memory, queue full",
        report::memory(&pid)?,
    ));
    figures.extend(measure(messages, "queue full").await?);
    figures.push(Figure::memory(
        "server memory after all",
        report::memory(&pid)?,
    ));
    Ok(figures)
}

/// Reception of `messages`, one client that reads as many, and several that work.
async fn measure(messages: u64, when: &str) -> anyhow::Result<Vec<Figure>> {
    let mailbox = |user: &str| -> anyhow::Result<Mailbox> {
        Ok(Mailbox {
            address: IMAP.parse()?,
            user: user.to_owned(),
            password: "postrider".to_owned(),
        })
    };
    let many = plan("bench{}@example.test", messages)?;
    let reception = delivery::run(delivery::Protocol::Smtp, &many).await?;
    let mut figures = vec![reception.at(when)];
    let full = mailbox("alice@example.test")?;
    for items in [imap::HEADERS, imap::BODIES] {
        figures.push(imap::fetch(&full, items).await?.at(when));
    }
    let mixed = imap::mixed(&mailbox("bench1@example.test")?, 20, messages).await?;
    figures.push(mixed.at(when));
    Ok(figures)
}

fn plan(recipient: &str, messages: u64) -> anyhow::Result<Delivery> {
    Ok(Delivery {
        address: vec![SMTP.parse()?],
        recipient: recipient.to_owned(),
        mailboxes: 50,
        connections: 50,
        messages,
        size: 4096,
    })
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
