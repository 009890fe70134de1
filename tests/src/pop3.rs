//! A POP3 client.

use std::net::SocketAddr;

use anyhow::ensure;

use crate::wire::Wire;

/// A connection to a POP3 server.
pub struct Pop3 {
    /// The connection, for what the methods do not offer.
    pub wire: Wire,
}

impl Pop3 {
    /// Connects and reads the greeting.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let mut client = Self {
            wire: Wire::connect(address).await?,
        };
        let greeting = client.line().await?;
        ensure!(greeting.starts_with("+OK"), "{greeting}");
        Ok(client)
    }

    /// Connects and logs in.
    pub async fn login(address: SocketAddr, user: &str, password: &str) -> anyhow::Result<Self> {
        let mut client = Self::connect(address).await?;
        client.ok(&format!("USER {user}")).await?;
        client.ok(&format!("PASS {password}")).await?;
        Ok(client)
    }

    /// STLS, trusting only `authority`.
    pub async fn start_tls(mut self, authority: &[u8]) -> anyhow::Result<Self> {
        self.ok("STLS").await?;
        Ok(Self {
            wire: self.wire.start_tls(authority).await?,
        })
    }

    /// One line without its line end.
    pub async fn line(&mut self) -> anyhow::Result<String> {
        let line = String::from_utf8_lossy(&self.wire.line().await?).into_owned();
        Ok(line.trim_end_matches("\r\n").to_owned())
    }

    /// Sends a command; the first line of its answer.
    pub async fn run(&mut self, command: &str) -> anyhow::Result<String> {
        self.wire.send(format!("{command}\r\n")).await?;
        self.line().await
    }

    /// Sends a command and expects `+OK`.
    pub async fn ok(&mut self, command: &str) -> anyhow::Result<String> {
        let line = self.run(command).await?;
        ensure!(line.starts_with("+OK"), "{command}: {line}");
        Ok(line)
    }

    /// Sends a command with an answer of many lines; those lines, unstuffed.
    pub async fn lines(&mut self, command: &str) -> anyhow::Result<Vec<String>> {
        self.ok(command).await?;
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            if line == "." {
                return Ok(lines);
            }
            lines.push(
                line.strip_prefix('.')
                    .map_or_else(|| line.clone(), str::to_owned),
            );
        }
    }
}
