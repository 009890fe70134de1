//! An SMTP and LMTP client.

use std::net::SocketAddr;

use anyhow::ensure;
use base64::Engine as _;

use crate::wire::Wire;

/// A reply: its code and all its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The three digits.
    pub code: u16,
    /// The lines after the code, joined by `\n`.
    pub text: String,
}

/// A connection to an SMTP or LMTP server.
pub struct Smtp {
    /// The connection, for what the methods do not offer.
    pub wire: Wire,
}

impl Smtp {
    /// Connects and reads the greeting.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let mut client = Self {
            wire: Wire::connect(address).await?,
        };
        let greeting = client.reply().await?;
        ensure!(greeting.code == 220, "{greeting:?}");
        Ok(client)
    }

    /// Connects with TLS from the start.
    pub async fn connect_tls(address: SocketAddr, authority: &[u8]) -> anyhow::Result<Self> {
        let wire = Wire::connect(address).await?.start_tls(authority).await?;
        let mut client = Self { wire };
        let greeting = client.reply().await?;
        ensure!(greeting.code == 220, "{greeting:?}");
        Ok(client)
    }

    /// The next reply.
    pub async fn reply(&mut self) -> anyhow::Result<Reply> {
        let mut text = String::new();
        loop {
            let line = String::from_utf8(self.wire.line().await?)?;
            let line = line.trim_end_matches("\r\n");
            ensure!(
                line.len() >= 3 && line.is_char_boundary(3),
                "not a reply: {line:?}"
            );
            let (code, rest) = line.split_at(3);
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(rest.get(1..).unwrap_or_default());
            if !rest.starts_with('-') {
                return Ok(Reply {
                    code: code.parse()?,
                    text,
                });
            }
        }
    }

    /// Sends a command line and reads its reply.
    pub async fn command(&mut self, line: &str) -> anyhow::Result<Reply> {
        self.wire.send(format!("{line}\r\n")).await?;
        self.reply().await
    }

    /// Sends a command line and expects this code.
    pub async fn expect(&mut self, code: u16, line: &str) -> anyhow::Result<Reply> {
        let reply = self.command(line).await?;
        ensure!(reply.code == code, "{line}: expected {code}, got {reply:?}");
        Ok(reply)
    }

    /// STARTTLS, trusting only `authority`.
    pub async fn start_tls(mut self, authority: &[u8]) -> anyhow::Result<Self> {
        self.expect(220, "STARTTLS").await?;
        Ok(Self {
            wire: self.wire.start_tls(authority).await?,
        })
    }

    /// AUTH PLAIN.
    pub async fn login(&mut self, user: &str, password: &str) -> anyhow::Result<Reply> {
        let token =
            base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{password}"));
        self.command(&format!("AUTH PLAIN {token}")).await
    }

    /// MAIL, RCPT and DATA with `message` (dots are stuffed here); the reply to
    /// the message, or the first refusal.
    pub async fn deliver(&mut self, from: &str, to: &str, message: &str) -> anyhow::Result<Reply> {
        if let Some(refusal) = self.offer(from, to).await? {
            return Ok(refusal);
        }
        self.content(message).await
    }

    /// MAIL and RCPT; the first refusal.
    pub async fn offer(&mut self, from: &str, to: &str) -> anyhow::Result<Option<Reply>> {
        for line in [format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>")] {
            let reply = self.command(&line).await?;
            if reply.code != 250 {
                self.command("RSET").await?;
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// DATA with `message` (dots are stuffed here); the reply to it.
    pub async fn content(&mut self, message: &str) -> anyhow::Result<Reply> {
        self.expect(354, "DATA").await?;
        let stuffed = message.replace("\r\n.", "\r\n..");
        self.wire.send(format!("{stuffed}\r\n.\r\n")).await?;
        self.reply().await
    }
}
