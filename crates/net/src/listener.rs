//! Listening sockets and the accept loop: PROXY headers, limits, implicit TLS,
//! and draining. Hands each connection to a [`Service`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, TcpKeepalive, Type};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::Socket;
use crate::counts::Counts;
use crate::gate::{Gate, Permit};
use crate::proxy::{self, Parsed};
use crate::{Busy, Connection, Drain, Error, Network, Service, Tls};

/// How long a proxy may take to send its header.
const PROXY_HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after the system had no file descriptor or memory for a connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Where and how to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// The addresses, each `address:port`; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Connections that the system holds until they are accepted.
    pub backlog: u32,
    /// Silence after which the system asks whether the client is still there.
    pub keepalive: Duration,
    /// Networks whose connections begin with a PROXY protocol header (required
    /// from there, not understood from elsewhere).
    pub proxy_from: Vec<Network>,
    /// The most connections at once.
    pub max_connections: u32,
    /// The most connections at once from one address (IPv6: one /64): in the whole
    /// cluster for a listener that shares its counts ([`Listener::shared`]).
    pub max_connections_per_address: u32,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            backlog: 1024,
            keepalive: Duration::from_secs(300),
            proxy_from: Vec::new(),
            max_connections: 10_000,
            max_connections_per_address: 100,
        }
    }
}

/// Bound sockets of one protocol, not yet accepting.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    settings: ListenerSettings,
    tls: Option<Tls>,
    gate: Arc<Gate>,
}

impl Listener {
    /// Binds all addresses. With `implicit_tls` each connection begins with a
    /// TLS handshake. Must be called within a tokio runtime.
    pub fn bind(settings: ListenerSettings, implicit_tls: Option<Tls>) -> Result<Self, Error> {
        let bind = |address: &SocketAddr| {
            bind(*address, settings.backlog).map_err(|source| Error::Bind {
                address: *address,
                hint: hint(&source),
                source,
            })
        };
        let sockets: Vec<_> = settings.listen.iter().map(bind).collect::<Result<_, _>>()?;
        let addresses = sockets.iter().zip(&settings.listen);
        let addresses = addresses
            .map(|(socket, asked)| socket.local_addr().unwrap_or(*asked))
            .collect();
        let gate = Gate::new(
            settings.max_connections,
            settings.max_connections_per_address,
        );
        Ok(Self {
            sockets,
            addresses,
            settings,
            tls: implicit_tls,
            gate,
        })
    }

    /// The same, but connections per address count together with those of all
    /// listeners that share under this `name`, here and on other nodes.
    #[must_use]
    pub fn shared(mut self, counts: &Counts, name: &str) -> Self {
        let settings = &self.settings;
        let per_address = settings.max_connections_per_address;
        self.gate = counts.gate(name, settings.max_connections, per_address);
        self
    }

    /// The addresses that are bound, with their real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Another one on the same sockets, for whoever is to serve them first. Each
    /// connection goes to one of those that run.
    pub fn twin(&self) -> io::Result<Self> {
        let twin = |socket: &TcpListener| {
            let socket = SockRef::from(socket).try_clone()?;
            TcpListener::from_std(socket.into())
        };
        Ok(Self {
            sockets: self.sockets.iter().map(twin).collect::<Result<_, _>>()?,
            addresses: self.addresses.clone(),
            settings: self.settings.clone(),
            tls: self.tls.clone(),
            gate: self.gate.clone(),
        })
    }

    /// Accepts connections until the drain begins, then gives the sessions
    /// `deadline` to end, drops those that did not, and returns.
    pub async fn run<S: Service>(self, service: Arc<S>, drain: Drain, deadline: Duration) {
        let shared = Arc::new(Shared {
            gate: self.gate,
            service,
            settings: self.settings,
            tls: self.tls,
            drain: drain.clone(),
            kill: CancellationToken::new(),
            sessions: TaskTracker::new(),
        });
        let loops = TaskTracker::new();
        for socket in self.sockets {
            loops.spawn(accept_loop(socket, shared.clone()));
        }
        loops.close();
        loops.wait().await;
        drain.cancelled().await;
        shared.sessions.close();
        if tokio::time::timeout(deadline, shared.sessions.wait())
            .await
            .is_err()
        {
            let sessions = shared.sessions.len();
            let protocol = shared.service.name();
            tracing::warn!(
                protocol,
                sessions,
                "closing sessions that did not end in time"
            );
            shared.kill.cancel();
            shared.sessions.wait().await;
        }
    }
}

struct Shared<S> {
    service: Arc<S>,
    settings: ListenerSettings,
    tls: Option<Tls>,
    gate: Arc<Gate>,
    drain: Drain,
    kill: CancellationToken,
    sessions: TaskTracker,
}

fn bind(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = RawSocket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // So that 0.0.0.0 and :: can stand side by side.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            ". Another program (or another Postrider) uses this port: stop it, or choose another port"
        }
        io::ErrorKind::PermissionDenied => {
            ". Ports below 1024 need the capability CAP_NET_BIND_SERVICE (the systemd unit grants it)"
        }
        io::ErrorKind::AddrNotAvailable => ". This machine has no such address",
        _ => "",
    }
}

async fn accept_loop<S: Service>(socket: TcpListener, shared: Arc<Shared<S>>) {
    let mut exhausted = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.drain.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                exhausted = false;
                admit(&shared, stream, peer);
            }
            // The client was gone before it was accepted.
            Err(e) if is_about_the_client(&e) => {}
            Err(error) => {
                if !exhausted {
                    let protocol = shared.service.name();
                    tracing::error!(protocol, %error, "cannot accept connections; trying on. \
                        If it says \"too many open files\", raise the limit (LimitNOFILE)");
                }
                exhausted = true;
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

fn is_about_the_client(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(
        error.kind(),
        K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted
    )
}

/// Counts the connection in and starts its session.
fn admit<S: Service>(shared: &Arc<Shared<S>>, stream: TcpStream, peer: SocketAddr) {
    if let Err(error) = prepare(&stream, &shared.settings) {
        tracing::debug!(%peer, %error, "the connection was gone at once");
        return;
    }
    let proxied = shared
        .settings
        .proxy_from
        .iter()
        .any(|n| n.contains(peer.ip()));
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let connection = Connection::new(Socket::Tcp(stream), peer, local);
    let kill = shared.kill.clone();
    let shared_by_task = shared.clone();
    if proxied {
        let session = async move { after_proxy(&shared_by_task, connection).await };
        shared
            .sessions
            .spawn(kill.run_until_cancelled_owned(session));
        return;
    }
    match shared.gate.enter(connection.peer().ip()) {
        Ok(permit) => {
            let session = async move { serve(&shared_by_task, connection, permit).await };
            shared
                .sessions
                .spawn(kill.run_until_cancelled_owned(session));
        }
        Err(busy) => refuse(shared, connection, busy),
    }
}

fn prepare(stream: &TcpStream, settings: &ListenerSettings) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if !settings.keepalive.is_zero() {
        let keepalive = TcpKeepalive::new().with_time(settings.keepalive);
        SockRef::from(stream).set_tcp_keepalive(&keepalive)?;
    }
    Ok(())
}

/// Reads the PROXY header, then serves the connection that it tells of.
async fn after_proxy<S: Service>(shared: &Shared<S>, mut connection: Connection) {
    let proxy = connection.peer();
    connection.set_proxied();
    let header = tokio::time::timeout(PROXY_HEADER_TIMEOUT, read_header(&mut connection));
    match header.await {
        Ok(Ok(header)) => {
            if let Some((peer, local)) = header.addresses {
                connection.set_addresses(peer, local);
            }
        }
        Ok(Err(error)) => {
            // A bare connect is a load balancer's way to see whether we live.
            if error.kind() != io::ErrorKind::UnexpectedEof {
                tracing::warn!(%proxy, %error, "closed a connection from a PROXY network");
            }
            return;
        }
        Err(_) => {
            tracing::warn!(%proxy, "closed a connection from a PROXY network: no header in time");
            return;
        }
    }
    match shared.gate.enter(connection.peer().ip()) {
        Ok(permit) => serve(shared, connection, permit).await,
        Err(busy) => refuse(shared, connection, busy),
    }
}

async fn read_header(connection: &mut Connection) -> io::Result<proxy::Header> {
    let mut bytes = Vec::new();
    loop {
        let parsed = proxy::parse(&bytes).map_err(io::Error::other)?;
        match parsed {
            Parsed::Complete(header, _) => return Ok(header),
            Parsed::Incomplete(total) => {
                let have = bytes.len();
                bytes.resize(total, 0);
                connection.read_exact(&mut bytes[have..]).await?;
            }
        }
    }
}

async fn serve<S: Service>(shared: &Shared<S>, mut connection: Connection, permit: Permit) {
    let protocol = shared.service.name();
    counter!("postrider_connections_total", "protocol" => protocol).increment(1);
    let _active = Active::new(protocol);
    if let Some(tls) = &shared.tls
        && let Err(error) = connection.start_tls(tls).await
    {
        counter!("postrider_tls_handshake_failures_total", "protocol" => protocol).increment(1);
        tracing::debug!(protocol, peer = %connection.peer(), %error, "the TLS handshake failed");
        return;
    }
    shared.service.serve(connection, shared.drain.clone()).await;
    drop(permit);
}

/// Counts a session for as long as it lives, however it ends.
struct Active(&'static str);

impl Active {
    fn new(protocol: &'static str) -> Self {
        gauge!("postrider_connections_active", "protocol" => protocol).increment(1.0);
        Self(protocol)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        gauge!("postrider_connections_active", "protocol" => self.0).decrement(1.0);
    }
}

/// Tells the client that it came at a bad time, without waiting for it.
fn refuse<S: Service>(shared: &Shared<S>, connection: Connection, busy: Busy) {
    let protocol = shared.service.name();
    let reason = match busy {
        Busy::Total => "total",
        Busy::PerAddress => "per_address",
    };
    counter!("postrider_connections_refused_total", "protocol" => protocol, "reason" => reason)
        .increment(1);
    tracing::debug!(protocol, peer = %connection.peer(), reason, "too many connections");
    if shared.tls.is_none() {
        // A fresh socket's buffer takes a line at once; if not, so be it.
        connection.try_send(shared.service.busy_reply(busy));
    }
}

#[cfg(test)]
mod tests;
