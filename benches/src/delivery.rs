//! Delivery over SMTP or LMTP: each connection sends one message after the
//! other and waits for each 250, which a server may give only after the message
//! is durable.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hdrhistogram::Histogram;

use crate::Delivery;
use crate::line::Connection;
use crate::report::Figure;

/// Which greeting to use.
#[derive(Clone, Copy)]
pub(crate) enum Protocol {
    Smtp,
    Lmtp,
}

/// Delivers `plan.messages` messages over `plan.connections` connections.
pub(crate) async fn run(protocol: Protocol, plan: &Delivery) -> anyhow::Result<Figure> {
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut tasks = Vec::new();
    for address in plan.address.iter().cycle().take(plan.connections) {
        let delivering = deliver(protocol, *address, plan.clone(), next.clone());
        tasks.push(tokio::spawn(delivering));
    }
    let mut latencies = Histogram::<u64>::new(3)?;
    for task in tasks {
        latencies += task.await??;
    }
    let name = match protocol {
        Protocol::Smtp => "SMTP",
        Protocol::Lmtp => "LMTP",
    };
    let scenario = format!(
        "{name}: {} connections, {} bytes",
        plan.connections, plan.size
    );
    Ok(Figure::latencies(scenario, &latencies, started.elapsed()))
}

/// One connection's share.
async fn deliver(
    protocol: Protocol,
    address: SocketAddr,
    plan: Delivery,
    next: Arc<AtomicU64>,
) -> anyhow::Result<Histogram<u64>> {
    let mut latencies = Histogram::<u64>::new(3)?;
    let mut connection = Connection::open(address, 4096).await?;
    connection.reply(b'2').await?;
    let hello = match protocol {
        Protocol::Smtp => b"EHLO bench.test\r\n",
        Protocol::Lmtp => b"LHLO bench.test\r\n",
    };
    connection.send(hello).await?;
    connection.reply(b'2').await?;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= plan.messages {
            break;
        }
        let recipient = plan
            .recipient
            .replace("{}", &(number % plan.mailboxes + 1).to_string());
        let message = message(number, &recipient, plan.size);
        let begun = Instant::now();
        let envelope =
            format!("MAIL FROM:<sender@outside.test>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n");
        connection.send(envelope.as_bytes()).await?;
        connection.reply(b'2').await?;
        connection.reply(b'2').await?;
        connection.reply(b'3').await?;
        connection.send(message.as_bytes()).await?;
        connection.reply(b'2').await?;
        latencies.record(u64::try_from(begun.elapsed().as_micros())?)?;
    }
    connection.send(b"QUIT\r\n").await?;
    Ok(latencies)
}

/// A message of about `size` bytes with the header of everyday mail, and the
/// final dot.
pub(crate) fn message(number: u64, recipient: &str, size: usize) -> String {
    let mut text = format!(
        "Received: from relay.outside.test (relay.outside.test [192.0.2.1])\r\n\
         \tby mx.outside.test with ESMTPS id {number:08x};\r\n\
         \tMon, 2 Nov 2026 09:12:13 +0000\r\n\
         From: Sender Number {number} <sender@outside.test>\r\n\
         To: {recipient}\r\n\
         Subject: Message {number} of the load test\r\n\
         Date: Mon, 2 Nov 2026 09:12:13 +0000\r\n\
         Message-ID: <{number}.bench@outside.test>\r\n\
         References: <{}.bench@outside.test>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         \r\n",
        number / 2
    );
    let mut seed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while text.len() + 5 < size {
        // Words that do not repeat, so that compression has honest work.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        text.push_str(&format!(
            "line {seed:016x} of some everyday text about nothing\r\n"
        ));
    }
    text.push_str(".\r\n");
    text
}
