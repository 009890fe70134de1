//! Bounded, timed reading of lines and of counted bytes, shared by the line
//! protocols.
//!
//! While it waits with nothing buffered it owns no memory, so that an idle
//! connection costs next to nothing. It never holds more than the limit of the
//! call plus one read.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::ready;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use crate::Pace;

/// Read while nothing is buffered: fits commands, lies on the stack.
const SMALL_READ: usize = 8 * 1024;
/// The most read at once while a large body comes in.
const LARGE_READ: usize = 64 * 1024;

/// Why nothing more could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The client closed the connection.
    #[error("the client closed the connection")]
    Closed,
    /// The client sent nothing for too long.
    #[error("the client was silent for too long")]
    TimedOut,
    /// The client sent too little for too long.
    #[error("the client sends too slowly")]
    TooSlow,
    /// The line is longer than the limit. What was read of it stays buffered:
    /// go on with [`ReadBuffer::discard_line`], or close.
    #[error("the line is too long")]
    TooLong,
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// Bytes that were received and not yet consumed.
///
/// Every method that waits is cancel safe: dropped while it waits, it loses no
/// byte, and the next call goes on. Timeouts count anew with each read that
/// brings something.
#[derive(Debug, Default)]
pub struct ReadBuffer {
    bytes: BytesMut,
    /// No line feed lies before this: lines that come in pieces are searched once.
    searched: usize,
}

impl ReadBuffer {
    /// An empty buffer; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one line of at most `limit` bytes with its line feed and returns
    /// it with its line ending (CRLF, or a bare LF: the protocol decides what
    /// to make of it).
    pub async fn read_line<R: AsyncRead + Unpin>(
        &mut self,
        from: &mut R,
        limit: usize,
        timeout: Duration,
    ) -> Result<Bytes, ReadError> {
        loop {
            if let Some(line) = self.next_line(limit)? {
                return Ok(line);
            }
            self.fill(from, 0, timeout).await?;
        }
    }

    /// The next line, if all of it is buffered: for pipelined commands, without
    /// waiting. Fails with [`ReadError::TooLong`] only.
    pub fn next_line(&mut self, limit: usize) -> Result<Option<Bytes>, ReadError> {
        let unsearched = self.bytes.get(self.searched..).unwrap_or_default();
        match unsearched.iter().position(|b| *b == b'\n') {
            Some(at) if self.searched + at < limit => {
                let end = self.searched + at + 1;
                self.searched = 0;
                Ok(Some(self.bytes.split_to(end).freeze()))
            }
            None if self.bytes.len() < limit => {
                self.searched = self.bytes.len();
                Ok(None)
            }
            _ => Err(ReadError::TooLong),
        }
    }

    /// Drops bytes up to and including the next line feed, at most `limit`;
    /// past that it fails with [`ReadError::TooLong`].
    pub async fn discard_line<R: AsyncRead + Unpin>(
        &mut self,
        from: &mut R,
        limit: usize,
        timeout: Duration,
    ) -> Result<(), ReadError> {
        let mut discarded = 0usize;
        loop {
            if let Some(at) = self.bytes.iter().position(|b| *b == b'\n') {
                self.consume(at + 1);
                return Ok(());
            }
            discarded = discarded.saturating_add(self.discard());
            if discarded > limit {
                return Err(ReadError::TooLong);
            }
            self.fill(from, 0, timeout).await?;
        }
    }

    /// Returns at least 1 and at most `max` bytes (`max` > 0): what is buffered,
    /// else what the next read brings, as [`ReadBuffer::fill_at_pace`]. For literals.
    pub async fn read_chunk<R: AsyncRead + Unpin>(
        &mut self,
        from: &mut R,
        max: usize,
        timeout: Duration,
        pace: &mut Pace,
    ) -> Result<Bytes, ReadError> {
        if self.bytes.is_empty() {
            self.fill_at_pace(from, max, timeout, pace).await?;
        }
        Ok(self.take(max))
    }

    /// Reads exactly `count` bytes: for small literals, whose size the caller
    /// has checked.
    pub async fn read_exact<R: AsyncRead + Unpin>(
        &mut self,
        from: &mut R,
        count: usize,
        timeout: Duration,
    ) -> Result<Bytes, ReadError> {
        while self.bytes.len() < count {
            self.fill(from, count - self.bytes.len(), timeout).await?;
        }
        Ok(self.take(count))
    }

    /// Waits for more bytes and appends them. `hint` is how many are expected
    /// at least (0 where unknown, as with commands); it only sizes the read.
    pub async fn fill<R: AsyncRead + Unpin>(
        &mut self,
        from: &mut R,
        hint: usize,
        timeout: Duration,
    ) -> Result<usize, ReadError> {
        if self.bytes.is_empty() {
            // Also gives back the rest of a block whose lines have been handed out.
            self.bytes = BytesMut::new();
            self.searched = 0;
        }
        let read = poll_fn(|cx| {
            if hint > SMALL_READ {
                self.bytes.reserve(hint.min(LARGE_READ));
                let read = std::pin::pin!(tokio::io::AsyncReadExt::read_buf(
                    &mut *from,
                    &mut self.bytes
                ));
                return read.poll(cx);
            }
            let mut space = [MaybeUninit::<u8>::uninit(); SMALL_READ];
            let mut space = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut *from).poll_read(cx, &mut space))?;
            self.bytes.extend_from_slice(space.filled());
            std::task::Poll::Ready(Ok(space.filled().len()))
        });
        match tokio::time::timeout(timeout, read).await {
            Err(_) => Err(ReadError::TimedOut),
            Ok(Err(e)) if is_hang_up(&e) => Err(ReadError::Closed),
            Ok(Err(e)) => Err(e.into()),
            Ok(Ok(0)) => Err(ReadError::Closed),
            Ok(Ok(read)) => Ok(read),
        }
    }

    /// As [`ReadBuffer::fill`], for a body that must keep a pace. Dropped while it
    /// waits, it does not count the time.
    pub async fn fill_at_pace<R: AsyncRead + Unpin>(
        &mut self,
        from: &mut R,
        hint: usize,
        timeout: Duration,
        pace: &mut Pace,
    ) -> Result<usize, ReadError> {
        let began = Instant::now();
        let read = self.fill(from, hint, pace.limit(timeout)).await;
        pace.count(began.elapsed(), *read.as_ref().unwrap_or(&0));
        match read {
            Err(ReadError::TimedOut) if pace.is_lost() => Err(ReadError::TooSlow),
            read => read,
        }
    }

    /// What is buffered.
    pub fn buffered(&self) -> &[u8] {
        &self.bytes
    }

    /// How much is buffered.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is buffered.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes up to `max` buffered bytes, without copying.
    pub fn take(&mut self, max: usize) -> Bytes {
        self.searched = 0;
        let count = max.min(self.bytes.len());
        self.bytes.split_to(count).freeze()
    }

    /// Drops up to `count` buffered bytes.
    pub fn consume(&mut self, count: usize) {
        drop(self.take(count));
    }

    /// Drops everything buffered and tells how much it was: before STARTTLS,
    /// whatever was sent ahead must go.
    pub fn discard(&mut self) -> usize {
        let count = self.bytes.len();
        self.bytes = BytesMut::new();
        self.searched = 0;
        count
    }
}

/// How clients go away without a goodbye; nobody needs to hear of it.
fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(
        error.kind(),
        K::UnexpectedEof | K::ConnectionReset | K::BrokenPipe | K::ConnectionAborted
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn lines_come_whole_however_they_are_cut() {
        let (mut client, mut server) = tokio::io::duplex(3);
        let writer = tokio::spawn(async move {
            client.write_all(b"NOOP\r\nQUIT\nrest").await.unwrap();
        });
        let mut buffer = ReadBuffer::new();
        let line = buffer.read_line(&mut server, 100, LONG).await.unwrap();
        assert_eq!(&line[..], b"NOOP\r\n");
        let line = buffer.read_line(&mut server, 100, LONG).await.unwrap();
        assert_eq!(&line[..], b"QUIT\n");
        let end = buffer.read_line(&mut server, 100, LONG).await;
        assert!(matches!(end, Err(ReadError::Closed)));
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn a_long_line_is_refused_and_can_be_skipped() {
        let (mut client, mut server) = tokio::io::duplex(1 << 20);
        client.write_all(&vec![b'x'; 5000]).await.unwrap();
        client.write_all(b"\r\nNOOP\r\n").await.unwrap();
        let mut buffer = ReadBuffer::new();
        let long = buffer.read_line(&mut server, 512, LONG).await;
        assert!(matches!(long, Err(ReadError::TooLong)));
        buffer
            .discard_line(&mut server, 1 << 16, LONG)
            .await
            .unwrap();
        let line = buffer.read_line(&mut server, 512, LONG).await.unwrap();
        assert_eq!(&line[..], b"NOOP\r\n");
    }

    #[tokio::test]
    async fn the_limit_counts_the_line_feed() {
        for (line, fits) in [("12345678\r\n", true), ("123456789\r\n", false)] {
            let mut buffer = ReadBuffer::new();
            let mut server = line.as_bytes();
            let read = buffer.read_line(&mut server, 10, LONG).await;
            assert_eq!(read.is_ok(), fits, "{line}");
        }
    }

    #[tokio::test]
    async fn counted_bytes_follow_a_line() {
        let (mut client, mut server) = tokio::io::duplex(1 << 20);
        let body = vec![7u8; 300_000];
        client.write_all(b"BDAT 300000\r\n").await.unwrap();
        client.write_all(&body).await.unwrap();
        let mut buffer = ReadBuffer::new();
        buffer.read_line(&mut server, 100, LONG).await.unwrap();
        let (mut left, mut pace) = (body.len(), Pace::new(256));
        while left > 0 {
            let read = buffer.read_chunk(&mut server, left, LONG, &mut pace);
            let chunk = read.await.unwrap();
            assert!(chunk.len() <= LARGE_READ * 2 && chunk.iter().all(|b| *b == 7));
            left -= chunk.len();
        }
        assert!(buffer.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_times_out_and_holds_no_memory() {
        let (mut client, mut server) = tokio::io::duplex(1 << 16);
        let mut buffer = ReadBuffer::new();
        client.write_all(b"NOOP\r\n").await.unwrap();
        buffer.read_line(&mut server, 100, LONG).await.unwrap();
        let silence = buffer.read_line(&mut server, 100, LONG).await;
        assert!(matches!(silence, Err(ReadError::TimedOut)));
        assert_eq!(buffer.bytes.capacity(), 0);
    }

    #[tokio::test]
    async fn a_dropped_read_loses_nothing() {
        let (mut client, mut server) = tokio::io::duplex(64);
        let mut buffer = ReadBuffer::new();
        client.write_all(b"NO").await.unwrap();
        let never = tokio::time::timeout(
            Duration::from_millis(20),
            buffer.read_line(&mut server, 100, LONG),
        );
        assert!(never.await.is_err());
        client.write_all(b"OP\r\n").await.unwrap();
        let line = buffer.read_line(&mut server, 100, LONG).await.unwrap();
        assert_eq!(&line[..], b"NOOP\r\n");
    }
}
