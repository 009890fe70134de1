//! The way to the client: a bounded buffer in front of the connection.
//!
//! Responses are appended to the [`Writer`] and sent in large pieces; while the
//! session waits for its client no buffer is held.

use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use postrider_net::Connection;
use postrider_proto::imap::Writer;

/// The buffer is sent when it holds this much.
const FULL: usize = 64 * 1024;
/// The buffer that is kept between pieces of one response.
const KEEP: usize = 2 * FULL;

/// The connection and what was not sent yet.
pub(crate) struct Output {
    pub(crate) connection: Connection,
    writer: Writer,
    stall: Duration,
}

impl Output {
    /// `stall` is how long a client may take nothing.
    pub(crate) fn new(connection: Connection, stall: Duration) -> Self {
        Self {
            connection,
            writer: Writer::new(),
            stall,
        }
    }

    /// Sends the buffer if it is full: to be called between responses that may
    /// be many.
    pub(crate) async fn relieve(&mut self) -> io::Result<()> {
        if self.writer.len() < FULL {
            return Ok(());
        }
        self.connection
            .send(self.writer.bytes(), self.stall)
            .await?;
        self.writer.clear(KEEP);
        Ok(())
    }

    /// Sends all that waits and gives the buffer back.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if !self.writer.is_empty() {
            self.connection
                .send(self.writer.bytes(), self.stall)
                .await?;
        }
        self.writer.clear(0);
        Ok(())
    }

    /// Sends what waits, then `bytes` without copying them.
    pub(crate) async fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.writer.len() + bytes.len() < FULL {
            self.writer.raw(bytes);
            return Ok(());
        }
        if !self.writer.is_empty() {
            self.connection
                .send(self.writer.bytes(), self.stall)
                .await?;
            self.writer.clear(KEEP);
        }
        self.connection.send(bytes, self.stall).await
    }

    /// Sends what waits as far as possible and closes.
    pub(crate) async fn close(mut self) {
        let goodbye = self.stall.min(Duration::from_secs(5));
        let _ = self.connection.send(self.writer.bytes(), goodbye).await;
        self.connection.close(goodbye).await;
    }
}

impl Deref for Output {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        &self.writer
    }
}

impl DerefMut for Output {
    fn deref_mut(&mut self) -> &mut Writer {
        &mut self.writer
    }
}
