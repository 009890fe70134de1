//! Idle connections: what a thousand mail readers that wait cost the server.

use std::time::Duration;

use anyhow::ensure;

use crate::Mailbox;
use crate::imap::open;
use crate::report::{Figure, memory};

/// Opens `connections` IMAP connections that select INBOX and IDLE, and tells
/// by how much the server's memory grew.
pub(crate) async fn run(
    mailbox: &Mailbox,
    connections: usize,
    pids: &[u32],
) -> anyhow::Result<Figure> {
    // One connection first: what the first use of anything allocates is no
    // cost of a connection.
    drop(open(mailbox, 512).await?);
    let before = memory(pids)?;
    let mut held = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut connection = open(mailbox, 512).await?;
        connection.send(b"i IDLE\r\n").await?;
        ensure!(
            connection.line().await?.starts_with(b"+"),
            "IDLE was refused"
        );
        held.push(connection);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let grown = memory(pids)?.saturating_sub(before);
    Ok(Figure::memory(
        format!("{connections} idle IMAP connections, growth"),
        grown,
    ))
}
