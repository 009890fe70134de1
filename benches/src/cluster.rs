//! Three nodes and a frontend on this machine, started by `deploy/local-cluster`:
//! delivery through all voters, and the same FETCH at a voter and at the frontend.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::report::Figure;
use crate::{Delivery, Mailbox, delivery, imap};

/// Ports of node 1, as `deploy/local-cluster` gives them; those of node 2 are
/// 10,000 higher, and so on.
const SMTP: u16 = 10025;
const LMTP: u16 = 10024;
const IMAP: u16 = 10143;
/// Nodes with metadata.
const VOTERS: u16 = 3;
/// The node without.
const FRONTEND: u16 = 4;

/// Brings the cluster up, measures, and takes it down again.
pub(crate) async fn run(script: &Path, dir: &Path, messages: u64) -> anyhow::Result<Vec<Figure>> {
    call(script, dir, &["up", "--nodes", "3", "--frontends", "1"]).await?;
    let figures = measure(messages).await;
    let down = call(script, dir, &["down", "--delete"]).await;
    let figures = figures?;
    down?;
    Ok(figures)
}

async fn measure(messages: u64) -> anyhow::Result<Vec<Figure>> {
    let voters = |port: u16| (1..=VOTERS).map(|node| address(node, port)).collect();
    let plan = |address, recipient: &str| Delivery {
        address,
        recipient: recipient.to_owned(),
        mailboxes: 50,
        connections: 50,
        messages,
        size: 4096,
    };
    let smtp = plan(voters(SMTP), "u{}@example.test");
    let lmtp = plan(voters(LMTP), "u{}@example.test");
    let one = plan(voters(LMTP), "alice@example.test");
    let mut figures = vec![
        delivery::run(delivery::Protocol::Smtp, &smtp).await?,
        delivery::run(delivery::Protocol::Lmtp, &lmtp).await?,
    ];
    delivery::run(delivery::Protocol::Lmtp, &one).await?;
    for items in [imap::HEADERS, imap::ENVELOPES, imap::BODIES] {
        for (node, place) in [(1, "at a node with metadata"), (FRONTEND, "at a frontend")] {
            let figure = imap::fetch(&mailbox(node), items).await?;
            figures.push(figure.at(place));
        }
    }
    for (node, place) in [(1, "at a node with metadata"), (FRONTEND, "at a frontend")] {
        let figure = imap::mixed(&mailbox(node), 20, messages).await?;
        figures.push(figure.at(place));
    }
    Ok(figures)
}

fn address(node: u16, port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, (node - 1) * 10_000 + port).into()
}

fn mailbox(node: u16) -> Mailbox {
    Mailbox {
        address: address(node, IMAP),
        user: "alice@example.test".to_owned(),
        password: "pw".to_owned(),
    }
}

async fn call(script: &Path, dir: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(script);
    command.args(arguments).arg("--dir").arg(dir);
    let status = command.status().await;
    let status = status.with_context(|| format!("running {}", script.display()))?;
    ensure!(
        status.success(),
        "{} {arguments:?}: {status}",
        script.display()
    );
    Ok(())
}
