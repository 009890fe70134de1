//! One client connection: plain or TLS, over TCP or, for tests, in memory.
//!
//! Owns the stream and knows who is at the other end. Buffers nothing itself:
//! [`crate::ReadBuffer`] does.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::Tls;

/// What protects a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite's IANA name.
    pub cipher: &'static str,
}

/// A client connection.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    peer: SocketAddr,
    local: SocketAddr,
    proxied: bool,
}

#[derive(Debug)]
enum Stream {
    Plain(Socket),
    // Boxed: a TLS state is a kilobyte and most futures that hold a connection move it.
    Tls(Box<TlsStream<Socket>>),
    /// A handshake has failed: there is nothing to talk to any more.
    Closed,
}

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Memory(DuplexStream),
}

impl Connection {
    /// A connection over a connected TCP stream.
    pub fn from_stream(stream: TcpStream) -> io::Result<Self> {
        let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
        Ok(Self::new(Socket::Tcp(stream), peer, local))
    }

    /// A connection over an in-memory stream, for tests.
    pub fn from_duplex(stream: DuplexStream, peer: SocketAddr, local: SocketAddr) -> Self {
        Self::new(Socket::Memory(stream), peer, local)
    }

    pub(crate) fn new(socket: Socket, peer: SocketAddr, local: SocketAddr) -> Self {
        Self {
            stream: Stream::Plain(socket),
            peer: plain_v4(peer),
            local: plain_v4(local),
            proxied: false,
        }
    }

    /// Notes that a proxy forwards it, whatever addresses that tells of.
    pub(crate) fn set_proxied(&mut self) {
        self.proxied = true;
    }

    /// Takes the addresses that a PROXY header told.
    pub(crate) fn set_addresses(&mut self, peer: SocketAddr, local: SocketAddr) {
        self.peer = plain_v4(peer);
        self.local = plain_v4(local);
    }

    /// The client's address: what the PROXY header said, where one is used.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Our address, as the client addressed it.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether client and server are on this machine and not behind a proxy.
    pub fn is_loopback(&self) -> bool {
        !self.proxied && self.peer.ip().is_loopback() && self.local.ip().is_loopback()
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Version and cipher suite, where the connection is encrypted.
    pub fn tls(&self) -> Option<TlsInfo> {
        let Stream::Tls(stream) = &self.stream else {
            return None;
        };
        let (_, session) = stream.get_ref();
        Some(TlsInfo {
            version: session.protocol_version()?.as_str()?,
            cipher: session
                .negotiated_cipher_suite()?
                .suite()
                .as_str()
                .unwrap_or("unknown"),
        })
    }

    /// Does the TLS handshake as the server. The caller has sent its answer to
    /// STARTTLS and has discarded its read buffer: plaintext that a client (or
    /// somebody in between) sent ahead must not count as protected
    /// (RFC 3207 §4.2, RFC 2595 §3.1). An error leaves the connection closed.
    pub async fn start_tls(&mut self, tls: &Tls) -> io::Result<()> {
        let Stream::Plain(socket) = std::mem::replace(&mut self.stream, Stream::Closed) else {
            return Err(io::Error::other("TLS has started already"));
        };
        self.stream = Stream::Tls(Box::new(tls.accept(socket).await?));
        Ok(())
    }

    /// Writes all of `bytes` and flushes. Fails with `TimedOut` when the client
    /// takes nothing for `stall`: however much there is to send, a slow reader
    /// lives on and a dead one does not hold the session.
    pub async fn send(&mut self, mut bytes: &[u8], stall: Duration) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = within(stall, self.write(bytes)).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = bytes.get(written..).unwrap_or_default();
        }
        within(stall, self.flush()).await
    }

    /// Sends what the socket takes at once, for a connection that is turned away.
    pub(crate) fn try_send(&self, bytes: &[u8]) {
        if let Stream::Plain(Socket::Tcp(stream)) = &self.stream {
            let _ = stream.try_write(bytes);
        }
    }

    /// Says goodbye on the TLS layer and closes the sending direction. Waits
    /// `stall` at most; errors are of no interest any more.
    pub async fn close(mut self, stall: Duration) {
        let _ = within(stall, self.shutdown()).await;
    }
}

async fn within<T>(limit: Duration, action: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(limit, action).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// `::ffff:192.0.2.1` as `192.0.2.1`: sockets that take both families show the former.
fn plain_v4(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), address.port()),
            None => address,
        },
        IpAddr::V4(_) => address,
    }
}

fn closed() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
            Stream::Closed => Poll::Ready(Err(closed())),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, buf),
            Stream::Closed => Poll::Ready(Err(closed())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, bufs),
            Stream::Closed => Poll::Ready(Err(closed())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(socket) => socket.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
            Stream::Closed => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Stream::Closed => Poll::Ready(Err(closed())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Stream::Closed => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Memory(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Memory(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Memory(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Memory(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Memory(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
