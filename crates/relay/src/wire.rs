//! Commands out, replies in: bounded and timed.
//!
//! While it writes it takes in what the peer says: a peer that answers early is
//! heard before its connection breaks, and one that waits for its answers to be
//! read does not wait for ever (RFC 2920 §3.1).

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use postrider_proto::smtp::client::{Reply, ReplyError, ReplyParser};
use rustls::{ClientConfig, ProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use crate::stream::Stream;

/// The most that is taken in ahead. More than the replies to all commands that
/// are sent at once; a peer that says more is not read until it is asked.
const MAX_INPUT: usize = 64 * 1024;
const READ: usize = 4096;

/// Why nothing more comes from, or goes to, the peer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the server closed the connection")]
    Closed,
    #[error("the server took too long")]
    TimedOut,
    #[error("the connection failed ({0})")]
    Io(io::Error),
    #[error(transparent)]
    Reply(#[from] ReplyError),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as K;
        match error.kind() {
            K::UnexpectedEof | K::ConnectionReset | K::BrokenPipe | K::ConnectionAborted => {
                Self::Closed
            }
            _ => Self::Io(error),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    input: BytesMut,
    parser: ReplyParser,
    /// The peer has closed its direction.
    ended: bool,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream: Stream::Plain(stream),
            input: BytesMut::new(),
            parser: ReplyParser::new(),
            ended: false,
        }
    }

    /// Whether all that the peer has said was replies that were asked for, as
    /// far as is known here.
    pub(crate) fn is_silent(&self) -> bool {
        self.input.is_empty() && self.parser.is_idle()
    }

    /// Reads one reply; all of it has `limit`, so that it cannot be drawn out.
    pub(crate) async fn read_reply(&mut self, limit: Duration) -> Result<Reply, WireError> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(reply) = self.next_reply()? {
                return Ok(reply);
            }
            if self.ended {
                return Err(WireError::Closed);
            }
            let read = poll_fn(|cx| self.poll_input(cx));
            match timeout_at(deadline, read).await {
                Ok(read) => read?,
                Err(_) => return Err(WireError::TimedOut),
            }
        }
    }

    /// The next reply, if all of it was taken in already.
    pub(crate) fn next_reply(&mut self) -> Result<Option<Reply>, WireError> {
        let (taken, reply) = self.parser.next(&self.input)?;
        self.input.advance(taken);
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        Ok(reply)
    }

    /// Writes all of `bytes` within `limit` and flushes.
    pub(crate) async fn write(&mut self, bytes: &[u8], limit: Duration) -> Result<(), WireError> {
        let mut rest = bytes;
        let writing = poll_fn(|cx| {
            while self.input.len() < MAX_INPUT && !self.ended {
                match self.poll_input(cx) {
                    Poll::Ready(read) => read?,
                    Poll::Pending => break,
                }
            }
            if self.ended {
                return Poll::Ready(Err(WireError::Closed));
            }
            while !rest.is_empty() {
                let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
                if written == 0 {
                    return Poll::Ready(Err(WireError::Closed));
                }
                rest = rest.get(written..).unwrap_or_default();
            }
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            Poll::Ready(Ok(()))
        });
        match timeout(limit, writing).await {
            Ok(written) => written,
            Err(_) => Err(WireError::TimedOut),
        }
    }

    /// Reads once, or notes the end.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        let mut space = [0; READ];
        let mut space = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space))?;
        self.input.extend_from_slice(space.filled());
        self.ended = space.filled().is_empty();
        Poll::Ready(Ok(()))
    }

    /// Does the TLS handshake as the client. Nothing that came in the clear may
    /// survive it: the caller has made sure that nothing did ([`Self::is_silent`]).
    pub(crate) async fn start_tls(
        &mut self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        limit: Duration,
    ) -> io::Result<()> {
        let Stream::Plain(socket) = std::mem::replace(&mut self.stream, Stream::Closed) else {
            return Err(io::Error::other("TLS has started already"));
        };
        let handshake = TlsConnector::from(config).connect(name, socket);
        match timeout(limit, handshake).await {
            Ok(stream) => self.stream = Stream::Tls(Box::new(stream?)),
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        }
        Ok(())
    }

    /// Version and cipher suite, where the connection is encrypted.
    pub(crate) fn tls(&self) -> Option<(&'static str, &'static str)> {
        let Stream::Tls(stream) = &self.stream else {
            return None;
        };
        let (_, session) = stream.get_ref();
        let protocol = match session.protocol_version()? {
            ProtocolVersion::TLSv1_2 => "TLSv1.2",
            ProtocolVersion::TLSv1_3 => "TLSv1.3",
            _ => "unknown",
        };
        let cipher = session.negotiated_cipher_suite()?.suite().as_str();
        Some((protocol, cipher.unwrap_or("unknown")))
    }

    /// Says goodbye on the TLS layer and closes. Errors are of no interest any
    /// more.
    pub(crate) async fn close(mut self, limit: Duration) {
        let _ = timeout(limit, self.stream.shutdown()).await;
    }
}
