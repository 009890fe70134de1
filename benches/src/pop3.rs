//! POP3: one client that retrieves everything, pipelined.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::Mailbox;
use crate::line::Connection;
use crate::report::Figure;

/// RETRs in flight at once.
const WINDOW: u64 = 200;

/// Retrieves every message of the mailbox; deletes nothing.
pub(crate) async fn drain(mailbox: &Mailbox) -> anyhow::Result<Figure> {
    let mut connection = Connection::open(mailbox.address, 256 * 1024).await?;
    expect_ok(&mut connection).await?;
    for command in [
        format!("USER {}\r\n", mailbox.user),
        format!("PASS {}\r\n", mailbox.password),
    ] {
        connection.send(command.as_bytes()).await?;
        expect_ok(&mut connection).await?;
    }
    connection.send(b"STAT\r\n").await?;
    let stat = expect_ok(&mut connection).await?;
    let messages: u64 = stat
        .split(' ')
        .nth(1)
        .context("STAT without a count")?
        .trim()
        .parse()?;
    ensure!(
        messages > 0,
        "the mailbox of {} is empty: deliver to it first",
        mailbox.user
    );
    let started = Instant::now();
    let mut first = 1;
    while first <= messages {
        let last = messages.min(first + WINDOW - 1);
        let mut commands = String::new();
        for number in first..=last {
            let _ = write!(commands, "RETR {number}\r\n");
        }
        connection.send(commands.as_bytes()).await?;
        for _ in first..=last {
            expect_ok(&mut connection).await?;
            while connection.line().await? != b".\r\n" {}
        }
        first = last + 1;
    }
    let figure = Figure::rate("POP3 pipelined RETR", messages, started.elapsed());
    connection.send(b"QUIT\r\n").await?;
    Ok(figure)
}

/// The next line, which must begin with `+OK`.
async fn expect_ok(connection: &mut Connection) -> anyhow::Result<String> {
    let line = String::from_utf8_lossy(connection.line().await?).into_owned();
    ensure!(line.starts_with("+OK"), "{}", line.trim());
    Ok(line)
}
