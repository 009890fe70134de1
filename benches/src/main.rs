//! `mailbench`: a load generator for mail servers. It speaks plain SMTP, LMTP,
//! IMAP and POP3 to any server, so that Postrider and its peers are measured by
//! the same code. It owns scenarios and figures; it knows nothing of Postrider
//! except how to start one (`server.rs`).

mod cluster;
mod delivery;
mod idle;
mod imap;
mod line;
mod pop3;
mod queue;
mod report;
mod server;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::report::{Figure, print};

/// Measures a mail server: deliveries, fetches, drains, idle connections.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
    /// Print the figures as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Scenario {
    /// Start a Postrider in a temporary folder and run every scenario on it.
    All {
        /// The binary to measure.
        #[arg(long, default_value = "target/release/postrider")]
        postrider: PathBuf,
        /// Where its data goes: a folder on the disk to be measured.
        #[arg(long, default_value = "target/mailbench")]
        dir: PathBuf,
        /// Messages in each scenario.
        #[arg(long, default_value_t = 20_000)]
        messages: u64,
    },
    /// Start three nodes and a frontend on this machine, deliver through all three,
    /// and fetch from a node with metadata and from the frontend.
    Cluster {
        /// The script that starts them.
        #[arg(long, default_value = "deploy/local-cluster")]
        script: PathBuf,
        /// Where its data goes: a folder on the disk to be measured.
        #[arg(long, default_value = "target/mailbench-cluster")]
        dir: PathBuf,
        /// Messages in each scenario.
        #[arg(long, default_value_t = 20_000)]
        messages: u64,
    },
    /// Start two Postriders in a temporary folder, fill the queue of one with mail that
    /// cannot leave, and measure reception and reading on both by turns.
    Queue {
        /// The binary to measure.
        #[arg(long, default_value = "target/release/postrider")]
        postrider: PathBuf,
        /// Where its data goes: a folder on the disk to be measured.
        #[arg(long, default_value = "target/mailbench-queue")]
        dir: PathBuf,
        /// Messages in each scenario of each round.
        #[arg(long, default_value_t = 20_000)]
        messages: u64,
        /// Entries in the queue.
        #[arg(long, default_value_t = 1_000_000)]
        entries: u64,
    },
    /// Deliver by SMTP.
    Smtp(Delivery),
    /// Deliver by LMTP.
    Lmtp(Delivery),
    /// Fetch the header fields of a mailbox that mail readers list.
    Headers(Mailbox),
    /// Fetch the ENVELOPE of every message of a mailbox.
    Envelopes(Mailbox),
    /// Fetch every body of a mailbox.
    Bodies(Mailbox),
    /// Several clients that look, read, flag, append and expunge.
    Mixed {
        #[command(flatten)]
        mailbox: Mailbox,
        /// Connections at once.
        #[arg(long, default_value_t = 20)]
        connections: usize,
        /// Commands in total.
        #[arg(long, default_value_t = 20_000)]
        commands: u64,
    },
    /// Retrieve every message of a mailbox by pipelined POP3.
    Pop3(Mailbox),
    /// Hold idle IMAP connections and tell what they cost the server.
    Idle {
        #[command(flatten)]
        mailbox: Mailbox,
        /// Connections at once.
        #[arg(long, default_value_t = 1000)]
        connections: usize,
        /// Process ids of the server whose proportional memory is summed up.
        #[arg(long, required = true)]
        pid: Vec<u32>,
    },
}

/// Where and what to deliver.
#[derive(Args, Clone)]
struct Delivery {
    /// The server; several, with commas between: connections go round.
    #[arg(long, default_value = "127.0.0.1:2525", value_delimiter = ',')]
    address: Vec<SocketAddr>,
    /// Recipients; `{}` stands for 1 to --mailboxes.
    #[arg(long, default_value = "bench{}@example.test")]
    recipient: String,
    /// How many mailboxes share the mail.
    #[arg(long, default_value_t = 50)]
    mailboxes: u64,
    /// Connections at once.
    #[arg(long, default_value_t = 50)]
    connections: usize,
    /// Messages in total.
    #[arg(long, default_value_t = 20_000)]
    messages: u64,
    /// Bytes of each message.
    #[arg(long, default_value_t = 4096)]
    size: usize,
}

/// A mailbox to read.
#[derive(Args, Clone)]
struct Mailbox {
    /// The server.
    #[arg(long, default_value = "127.0.0.1:2143")]
    address: SocketAddr,
    /// The login.
    #[arg(long, default_value = "alice@example.test")]
    user: String,
    /// Its password.
    #[arg(long, default_value = "postrider")]
    password: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let figures = match cli.scenario {
        Scenario::All {
            postrider,
            dir,
            messages,
        } => all(&postrider, &dir, messages).await?,
        Scenario::Cluster {
            script,
            dir,
            messages,
        } => cluster::run(&script, &dir, messages).await?,
        Scenario::Queue {
            postrider,
            dir,
            messages,
            entries,
        } => queue::run(&postrider, &dir, messages, entries).await?,
        Scenario::Smtp(plan) => vec![delivery::run(delivery::Protocol::Smtp, &plan).await?],
        Scenario::Lmtp(plan) => vec![delivery::run(delivery::Protocol::Lmtp, &plan).await?],
        Scenario::Headers(mailbox) => vec![imap::fetch(&mailbox, imap::HEADERS).await?],
        Scenario::Envelopes(mailbox) => vec![imap::fetch(&mailbox, imap::ENVELOPES).await?],
        Scenario::Bodies(mailbox) => vec![imap::fetch(&mailbox, imap::BODIES).await?],
        Scenario::Mixed {
            mailbox,
            connections,
            commands,
        } => {
            vec![imap::mixed(&mailbox, connections, commands).await?]
        }
        Scenario::Pop3(mailbox) => vec![pop3::drain(&mailbox).await?],
        Scenario::Idle {
            mailbox,
            connections,
            pid,
        } => {
            vec![idle::run(&mailbox, connections, &pid).await?]
        }
    };
    print(&figures, cli.json)
}

/// Every scenario on one fresh Postrider.
async fn all(
    postrider: &std::path::Path,
    dir: &std::path::Path,
    messages: u64,
) -> anyhow::Result<Vec<Figure>> {
    let server = server::Server::start(postrider, dir)
        .await
        .context("starting the server")?;
    let pid = [server.pid()];
    let mailbox = |address: &str, user: &str| -> anyhow::Result<Mailbox> {
        Ok(Mailbox {
            address: address.parse()?,
            user: user.to_owned(),
            password: "postrider".to_owned(),
        })
    };
    let plan = |address: &str, recipient: &str| -> anyhow::Result<Delivery> {
        Ok(Delivery {
            address: vec![address.parse()?],
            recipient: recipient.to_owned(),
            mailboxes: 50,
            connections: 50,
            messages,
            size: 4096,
        })
    };
    let (imap, pop3) = ("127.0.0.1:2143", "127.0.0.1:2110");
    let mut figures = vec![idle::run(&mailbox(imap, "bench1@example.test")?, 1000, &pid).await?];
    let smtp = plan("127.0.0.1:2525", "bench{}@example.test")?;
    figures.push(delivery::run(delivery::Protocol::Smtp, &smtp).await?);
    let lmtp = plan("127.0.0.1:2424", "bench{}@example.test")?;
    figures.push(delivery::run(delivery::Protocol::Lmtp, &lmtp).await?);
    let one = plan("127.0.0.1:2424", "alice@example.test")?;
    delivery::run(delivery::Protocol::Lmtp, &one).await?;
    let full = mailbox(imap, "alice@example.test")?;
    for items in [imap::HEADERS, imap::ENVELOPES, imap::BODIES] {
        figures.push(imap::fetch(&full, items).await?);
    }
    figures.push(imap::mixed(&mailbox(imap, "bench1@example.test")?, 20, messages).await?);
    figures.push(pop3::drain(&mailbox(pop3, "alice@example.test")?).await?);
    figures.push(Figure::memory(
        "server memory after all",
        report::memory(&pid)?,
    ));
    Ok(figures)
}
