//! An IMAP client that keeps responses as text, literals included.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};

use crate::wire::Wire;

/// What a command answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Untagged responses without `* `, line ends removed, literals in place.
    pub untagged: Vec<String>,
    /// The tagged response without its tag: `OK ...`, `NO ...`, `BAD ...`.
    pub status: String,
}

impl Answer {
    /// The answer itself if it is OK.
    pub fn ok(self) -> anyhow::Result<Self> {
        ensure!(
            self.status.starts_with("OK"),
            "{} after {:?}",
            self.status,
            self.untagged
        );
        Ok(self)
    }

    /// The numbers of the untagged SEARCH response.
    pub fn search(&self) -> anyhow::Result<Vec<u32>> {
        let line = self
            .untagged
            .iter()
            .find_map(|line| line.strip_prefix("SEARCH"))
            .with_context(|| format!("no SEARCH in {self:?}"))?;
        Ok(line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?)
    }

    /// The responses that contain `text`.
    pub fn with<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        self.untagged
            .iter()
            .map(String::as_str)
            .filter(move |line| line.contains(text))
    }
}

/// A connection to an IMAP server.
pub struct Imap {
    /// The connection, for what the methods do not offer.
    pub wire: Wire,
    tag: u32,
}

impl Imap {
    /// Connects and reads the greeting.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        Self::greeted(Wire::connect(address).await?).await
    }

    /// Connects with TLS from the start.
    pub async fn connect_tls(address: SocketAddr, authority: &[u8]) -> anyhow::Result<Self> {
        Self::greeted(Wire::connect(address).await?.start_tls(authority).await?).await
    }

    /// Over a connection whose greeting was not read yet.
    pub async fn greeted(wire: Wire) -> anyhow::Result<Self> {
        let mut client = Self { wire, tag: 0 };
        let greeting = client.response().await?;
        ensure!(greeting.starts_with("* OK"), "{greeting}");
        Ok(client)
    }

    /// Connects and logs in.
    pub async fn login(address: SocketAddr, user: &str, password: &str) -> anyhow::Result<Self> {
        let mut client = Self::connect(address).await?;
        client
            .run(&format!("LOGIN {user} {password}"))
            .await?
            .ok()?;
        Ok(client)
    }

    /// STARTTLS, trusting only `authority`.
    pub async fn start_tls(mut self, authority: &[u8]) -> anyhow::Result<Self> {
        self.run("STARTTLS").await?.ok()?;
        Ok(Self {
            wire: self.wire.start_tls(authority).await?,
            tag: self.tag,
        })
    }

    /// One response: a line with its literals, without the final line end.
    pub async fn response(&mut self) -> anyhow::Result<String> {
        let mut bytes = Vec::new();
        loop {
            let line = self.wire.line().await?;
            bytes.extend_from_slice(&line);
            let Some(length) = literal_length(&line) else {
                break;
            };
            bytes.extend(self.wire.exactly(length).await?);
        }
        let text = String::from_utf8_lossy(&bytes);
        Ok(text
            .strip_suffix("\r\n")
            .context("a response without CRLF")?
            .to_owned())
    }

    /// Sends a command without waiting; the tag.
    pub async fn send(&mut self, command: &str) -> anyhow::Result<String> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.wire.send(format!("{tag} {command}\r\n")).await?;
        Ok(tag)
    }

    /// Reads up to the response with `tag`.
    pub async fn until(&mut self, tag: &str) -> anyhow::Result<Answer> {
        let mut answer = Answer::default();
        loop {
            let response = self.response().await?;
            if let Some(untagged) = response.strip_prefix("* ") {
                answer.untagged.push(untagged.to_owned());
            } else if let Some(status) = response.strip_prefix(tag) {
                answer.status = status.trim_start().to_owned();
                return Ok(answer);
            }
        }
    }

    /// Runs a command.
    pub async fn run(&mut self, command: &str) -> anyhow::Result<Answer> {
        let tag = self.send(command).await?;
        self.until(&tag).await
    }

    /// Appends a message by a non-synchronising literal.
    pub async fn append(
        &mut self,
        mailbox: &str,
        flags: &str,
        message: &str,
    ) -> anyhow::Result<Answer> {
        self.run(&format!(
            "APPEND {mailbox} ({flags}) {{{}+}}\r\n{message}",
            message.len()
        ))
        .await
    }
}

/// The length of the literal that a response line announces at its end.
fn literal_length(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}\r\n")?;
    let open = line.iter().rposition(|&b| b == b'{')?;
    std::str::from_utf8(&line[open + 1..]).ok()?.parse().ok()
}
