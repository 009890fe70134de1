//! The server: accepts connections, finds out who calls, and hands calls that
//! the guard lets through to the services. Bounds what strangers can cost, and
//! ends all connections when it ends.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;

use crate::MAX_JOIN_MESSAGE;
use crate::authority::node_of;
use crate::channel::Timeouts;
use crate::failure::Failure;
use crate::guard::{Guard, Peer};
use crate::tls::Tls;

/// Connections at a time; more wait to be accepted.
const CONNECTIONS: usize = 4096;
/// Of these, those of which nobody knows yet whose they are; more are closed.
const HANDSHAKES: usize = 512;
/// Of those, from one address.
const HANDSHAKES_PER_ADDRESS: u32 = 32;
/// Connections from strangers; more are closed.
const STRANGERS: usize = 64;
/// Of those, from one address.
const STRANGERS_PER_ADDRESS: u32 = 8;
/// How long the body of a stranger's call may take.
const BODY: Duration = Duration::from_secs(5);
/// How long a stranger's connection lives: enough to join.
const STRANGER_AGE: Duration = Duration::from_secs(60);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Calls at a time in a node's connection, and in a stranger's.
const STREAMS: (u32, u32) = (4096, 4);
/// How long calls have to end when the server does.
const GRACE: Duration = Duration::from_secs(1);
/// How often it is looked whether the node at the other end was removed.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait when no connection can be accepted: out of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
struct Shared {
    tls: Option<TlsAcceptor>,
    timeouts: Timeouts,
    guard: Guard,
    routes: TowerToHyperService<Routes>,
    handshakes: PerAddress,
    strangers: PerAddress,
    stop: CancellationToken,
}

/// What is going on, by address: one that opens connections and does nothing with
/// them must not keep nodes out.
struct PerAddress {
    open: Mutex<HashMap<IpAddr, u32>>,
    most: usize,
    most_of_one: u32,
}

impl PerAddress {
    fn new(most: usize, most_of_one: u32) -> Self {
        Self {
            open: Mutex::default(),
            most,
            most_of_one,
        }
    }

    /// Counts one, unless there are too many; it ends when the answer is dropped.
    fn begin(&self, address: IpAddr) -> Option<Counted<'_>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().map(|count| *count as usize).sum();
        let own = open.get(&address).copied().unwrap_or(0);
        if all >= self.most || own >= self.most_of_one {
            return None;
        }
        open.insert(address, own + 1);
        Some(Counted(self, address))
    }
}

/// Something that is counted.
struct Counted<'a>(&'a PerAddress, IpAddr);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.1);
            }
        }
    }
}

/// Serves `routes` on `listener` until `shutdown` is ready, and then a moment
/// more, so that calls can end; when it returns (or is dropped) no connection is
/// left. `guard` decides who may call what; it is not asked under [`Tls::Off`].
pub async fn serve(
    listener: TcpListener,
    tls: &Tls,
    timeouts: Timeouts,
    guard: Guard,
    routes: Routes,
    shutdown: impl Future<Output = ()>,
) {
    let tls = match tls {
        Tls::Off => None,
        Tls::Mutual(mutual) => Some(TlsAcceptor::from(mutual.server())),
    };
    let shared = Arc::new(Shared {
        tls,
        timeouts,
        guard,
        routes: TowerToHyperService::new(routes.prepare()),
        handshakes: PerAddress::new(HANDSHAKES, HANDSHAKES_PER_ADDRESS),
        strangers: PerAddress::new(STRANGERS, STRANGERS_PER_ADDRESS),
        stop: CancellationToken::new(),
    });
    let mut shutdown = pin!(shutdown);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, from)) => {
                    connections.spawn(shared.clone().connection(stream, from.ip()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection from another node");
                    sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    shared.stop.cancel();
    let ended = async { while connections.join_next().await.is_some() {} };
    // What is still open is streams without an end: dropped with the set.
    let _ = timeout(GRACE, ended).await;
    connections.shutdown().await;
}

impl Shared {
    async fn connection(self: Arc<Self>, stream: TcpStream, from: IpAddr) {
        // Small messages that wait for each other: Nagle's algorithm delays them.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return self.talk(stream, Peer::Unknown).await;
        };
        let Some(handshake) = self.handshakes.begin(from) else {
            return tracing::debug!(%from, "too many TLS handshakes at once");
        };
        let stream = match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!("a TLS handshake took too long"),
        };
        drop(handshake);
        let certificates = stream.get_ref().1.peer_certificates();
        match certificates.and_then(|chain| node_of(chain.first()?)) {
            Some(node) => self.talk(stream, Peer::Node(node)).await,
            None => {
                let Some(_counted) = self.strangers.begin(from) else {
                    return tracing::debug!(%from, "too many connections from strangers");
                };
                let _ = timeout(STRANGER_AGE, self.talk(stream, Peer::Stranger)).await;
            }
        }
    }

    /// Answers the calls of one connection until it ends.
    async fn talk(&self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer) {
        let (streams, window) = match peer {
            Peer::Stranger => (STREAMS.1, 1 << 16),
            Peer::Node(_) | Peer::Unknown => (STREAMS.0, 4 << 20),
        };
        let (guard, routes) = (self.guard.clone(), self.routes.clone());
        let service = service_fn(move |request| {
            let (guard, routes) = (guard.clone(), routes.clone());
            async move { Ok::<_, Infallible>(answer(&guard, &routes, peer, request).await) }
        });
        let mut http = Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .keep_alive_interval(self.timeouts.keepalive)
            .keep_alive_timeout(self.timeouts.keepalive)
            .initial_stream_window_size(window)
            .initial_connection_window_size(4 * window)
            .max_concurrent_streams(streams)
            .max_header_list_size(16 << 10);
        let mut connection = pin!(http.serve_connection(TokioIo::new(io), service));
        tokio::select! {
            ended = &mut connection => return ended_with(ended),
            () = self.refused(peer) => return tracing::info!(?peer, "a removed node is cut off"),
            () = self.stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        ended_with(connection.await);
    }

    /// Is ready once the node at the other end was removed: its streams would go on
    /// for ever. Not at once: it is to be told why its calls are refused.
    async fn refused(&self, peer: Peer) {
        loop {
            sleep(LOOK).await;
            if self.guard.refuses(peer) {
                return;
            }
        }
    }
}

fn ended_with(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection from another node broke");
    }
}

async fn answer(
    guard: &Guard,
    routes: &TowerToHyperService<Routes>,
    peer: Peer,
    request: Request<Incoming>,
) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    let answered = async {
        guard.admit(peer, &mut head)?;
        if peer != Peer::Stranger {
            return Ok(call(routes, Request::from_parts(head, Body::new(body))).await);
        }
        // First all of it: who sends slowly must not keep a permit meanwhile.
        let body = whole(body).await?;
        let _permit = guard.join()?;
        Ok(call(routes, Request::from_parts(head, body)).await)
    };
    let answered: Result<_, Failure> = answered.await;
    answered.unwrap_or_else(|failure| Status::from(failure).into_http())
}

/// Calls a service, for as long as the caller waits. What a stream answers after
/// its beginning takes as long as it takes.
async fn call(routes: &TowerToHyperService<Routes>, request: Request<Body>) -> Response<Body> {
    let limit = request.headers().get("grpc-timeout");
    let limit = limit.and_then(|value| deadline::parse(value.to_str().ok()?));
    let answered = match limit {
        None => routes.call(request).await,
        Some(limit) => match timeout(limit, routes.call(request)).await {
            Ok(answered) => answered,
            Err(_) => return Status::deadline_exceeded("not done in time").into_http(),
        },
    };
    match answered {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The body of a stranger's call, if it comes soon and is not too long.
async fn whole(body: Incoming) -> Result<Body, Failure> {
    // With what gRPC puts before a message.
    let limited = Limited::new(body, MAX_JOIN_MESSAGE + 5);
    match timeout(BODY, limited.collect()).await {
        Ok(Ok(collected)) => Ok(Body::new(Full::new(collected.to_bytes()))),
        Ok(Err(error)) => Err(Failure::Unsupported(format!("unusable request: {error}"))),
        Err(_) => Err(Failure::Unavailable("the request took too long".into())),
    }
}

mod deadline;

#[cfg(test)]
mod tests;
