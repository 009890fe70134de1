//! A client connection that reads lines and exact byte counts.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A plain connection to a server.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
}

impl Connection {
    /// Connects with a read buffer of `buffer` bytes.
    pub(crate) async fn open(address: SocketAddr, buffer: usize) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::with_capacity(buffer, stream),
            line: Vec::new(),
        })
    }

    /// Sends bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// The next line, with its line end.
    pub(crate) async fn line(&mut self) -> anyhow::Result<&[u8]> {
        self.line.clear();
        self.stream.read_until(b'\n', &mut self.line).await?;
        ensure!(
            self.line.ends_with(b"\n"),
            "the server closed the connection"
        );
        Ok(&self.line)
    }

    /// Reads past `count` bytes.
    pub(crate) async fn skip(&mut self, count: u64) -> anyhow::Result<()> {
        let mut left = (&mut self.stream).take(count);
        let read = tokio::io::copy_buf(&mut left, &mut tokio::io::sink()).await?;
        ensure!(
            read == count,
            "the server closed the connection inside a literal"
        );
        Ok(())
    }

    /// Reads an SMTP reply to its last line and expects this first digit.
    pub(crate) async fn reply(&mut self, class: u8) -> anyhow::Result<()> {
        loop {
            let line = self.line().await?;
            if line.first() != Some(&class) {
                bail!(
                    "expected {}xx, got {}",
                    class as char,
                    String::from_utf8_lossy(line).trim()
                );
            }
            if line.get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }

    /// Reads IMAP responses up to the one with `tag`, passing over literals;
    /// returns how many untagged lines came. Fails unless it is OK.
    pub(crate) async fn tagged(&mut self, tag: &str) -> anyhow::Result<u64> {
        let mut untagged = 0;
        let mut continued = false;
        loop {
            let line = self.line().await?;
            let literal = literal_length(line);
            if !continued {
                if line.starts_with(b"* ") {
                    untagged += 1;
                } else if line.starts_with(tag.as_bytes()) {
                    let rest = &line[tag.len()..];
                    ensure!(
                        rest.starts_with(b" OK"),
                        "{}",
                        String::from_utf8_lossy(line).trim()
                    );
                    return Ok(untagged);
                }
            }
            continued = literal.is_some();
            if let Some(length) = literal {
                self.skip(length).await?;
            }
        }
    }
}

/// The length of the literal that a response line announces at its end.
fn literal_length(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"}\r\n")?;
    let open = line.iter().rposition(|&b| b == b'{')?;
    std::str::from_utf8(&line[open + 1..]).ok()?.parse().ok()
}
