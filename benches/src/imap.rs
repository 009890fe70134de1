//! IMAP: one client that fetches a whole mailbox, and many that work in one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use hdrhistogram::Histogram;

use crate::Mailbox;
use crate::delivery::message;
use crate::line::Connection;
use crate::report::Figure;

/// What a FETCH asks for, with its name in the report.
pub(crate) type Items = (&'static str, &'static str);

/// What mail readers ask for to show a list.
pub(crate) const HEADERS: Items = (
    "IMAP FETCH header fields",
    "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS \
     (DATE FROM TO CC SUBJECT MESSAGE-ID REFERENCES CONTENT-TYPE)])",
);
/// The parsed header.
pub(crate) const ENVELOPES: Items = ("IMAP FETCH ENVELOPE", "(UID FLAGS RFC822.SIZE ENVELOPE)");
/// Whole messages.
pub(crate) const BODIES: Items = ("IMAP FETCH bodies", "(UID BODY.PEEK[])");

/// Logs in and selects INBOX.
pub(crate) async fn open(mailbox: &Mailbox, buffer: usize) -> anyhow::Result<Connection> {
    let mut connection = Connection::open(mailbox.address, buffer).await?;
    connection.line().await?;
    let login = format!(
        "a LOGIN {} {}\r\nb SELECT INBOX\r\n",
        mailbox.user, mailbox.password
    );
    connection.send(login.as_bytes()).await?;
    connection.tagged("a").await?;
    connection.tagged("b").await?;
    Ok(connection)
}

/// One client fetches `items` of every message in INBOX.
pub(crate) async fn fetch(mailbox: &Mailbox, items: Items) -> anyhow::Result<Figure> {
    fetch_for(mailbox, items, Duration::ZERO).await
}

/// The same over and over until `least` has passed, once at least.
pub(crate) async fn fetch_for(
    mailbox: &Mailbox,
    (name, items): Items,
    least: Duration,
) -> anyhow::Result<Figure> {
    let mut connection = open(mailbox, 256 * 1024).await?;
    let command = format!("c FETCH 1:* {items}\r\n");
    let started = Instant::now();
    let mut messages = 0;
    loop {
        connection.send(command.as_bytes()).await?;
        let read = connection.tagged("c").await?;
        ensure!(
            read > 0,
            "the mailbox of {} is empty: deliver to it first",
            mailbox.user
        );
        messages += read;
        if started.elapsed() >= least {
            return Ok(Figure::rate(name, messages, started.elapsed()));
        }
    }
}

/// `connections` clients in one mailbox share `commands` commands.
pub(crate) async fn mixed(
    mailbox: &Mailbox,
    connections: usize,
    commands: u64,
) -> anyhow::Result<Figure> {
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut tasks = Vec::new();
    for client in 0..connections {
        tasks.push(tokio::spawn(work(
            mailbox.clone(),
            client as u64,
            next.clone(),
            commands,
        )));
    }
    let mut latencies = Histogram::<u64>::new(3)?;
    for task in tasks {
        latencies += task.await??;
    }
    let scenario = format!("IMAP mixed: {connections} connections on one mailbox");
    Ok(Figure::latencies(scenario, &latencies, started.elapsed()))
}

/// One client: of ten commands four look, three read, two flag, one appends.
async fn work(
    mailbox: Mailbox,
    client: u64,
    next: Arc<AtomicU64>,
    commands: u64,
) -> anyhow::Result<Histogram<u64>> {
    let mut latencies = Histogram::<u64>::new(3)?;
    let mut connection = open(&mailbox, 64 * 1024).await?;
    let appended = message(client, &mailbox.user, 2048);
    let appended = appended.trim_end_matches(".\r\n");
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= commands {
            break;
        }
        let place = (number.wrapping_mul(31) + client) % 100 + 1;
        let command = match number % 10 {
            0 | 1 => "x NOOP\r\n".to_owned(),
            2 => "x STATUS Sent (MESSAGES UNSEEN UIDNEXT)\r\n".to_owned(),
            3 => "x UID SEARCH 1:100 FROM \"sender\"\r\n".to_owned(),
            4 | 5 => format!("x FETCH {place} (FLAGS BODY.PEEK[])\r\n"),
            6 => format!("x FETCH {place}:{} (FLAGS ENVELOPE)\r\n", place + 20),
            7 => format!("x STORE {place} +FLAGS.SILENT (\\Seen $Bench)\r\n"),
            8 => format!("x STORE {place} -FLAGS.SILENT (\\Seen)\r\n"),
            _ => format!(
                "x APPEND Sent (\\Seen) {{{}+}}\r\n{appended}\r\n",
                appended.len()
            ),
        };
        let begun = Instant::now();
        connection.send(command.as_bytes()).await?;
        connection.tagged("x").await?;
        latencies.record(u64::try_from(begun.elapsed().as_micros())?)?;
    }
    Ok(latencies)
}
