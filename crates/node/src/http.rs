//! The HTTP port as a [`Service`]: health, metrics and the administration API,
//! behind the same listeners, limits and drain as mail.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metrics::histogram;
use postrider_net::{Busy, Connection, Drain, Service};

use crate::figures::Figures;
use crate::health::{Health, Report};
use crate::{admin, telemetry};

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request may take in all: its body, the work, the answer's head.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The client's address, as an extension of each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The HTTP protocol for a listener.
pub(crate) struct Http {
    router: TowerToHyperService<Router>,
}

impl Http {
    /// Serves health, metrics and administration.
    pub(crate) fn new(figures: Arc<Figures>, admin: admin::Handles) -> Self {
        let health = figures.health.clone();
        let figures = Router::new()
            .route("/metrics", get(metrics))
            .with_state(figures);
        let router = Router::new()
            .route("/healthz/live", get(alive))
            .route("/healthz/ready", get(ready))
            .with_state(health)
            .merge(figures)
            .nest("/v1", admin::router(admin))
            .fallback(async || {
                let text =
                    "no such page; there are /healthz/live, /healthz/ready, /metrics and /v1\n";
                (StatusCode::NOT_FOUND, text)
            })
            .layer(middleware::from_fn(bounded));
        Self {
            router: TowerToHyperService::new(router),
        }
    }
}

/// Why a node has not started yet.
pub(crate) type Why = Arc<dyn Fn() -> String + Send + Sync>;

/// The HTTP protocol for a listener of a node that starts: health and metrics alone.
pub(crate) struct Starting {
    router: TowerToHyperService<Router>,
}

impl Starting {
    /// Not ready, as `why` says at each time.
    pub(crate) fn new(why: Why) -> Self {
        let began = Instant::now();
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let told = why.clone();
        let ready = move || {
            let report = Report::starting(told(), began);
            std::future::ready((unavailable, axum::Json(report)))
        };
        let other = move || {
            let message = format!("the node is starting: {}", why());
            std::future::ready(admin::Error::new(unavailable, "unavailable", message))
        };
        let router = Router::new()
            .route("/healthz/live", get(alive))
            .route("/healthz/ready", get(ready))
            .route("/metrics", get(async || rendered()))
            .fallback(other)
            .layer(middleware::from_fn(bounded));
        Self {
            router: TowerToHyperService::new(router),
        }
    }
}

/// Times every request and bounds how long it may take.
pub(crate) async fn bounded(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let matched = request.extensions().get::<MatchedPath>();
    // The route, never the path: labels must stay few.
    let route = matched.map_or("none".to_owned(), |path| path.as_str().to_owned());
    let response = match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request took too long\n").into_response(),
    };
    let status = response.status().as_u16().to_string();
    histogram!("postrider_http_request_seconds", "route" => route, "status" => status)
        .record(started.elapsed().as_secs_f64());
    response
}

async fn alive() -> &'static str {
    "alive\n"
}

async fn ready(State(health): State<Arc<Health>>) -> Response {
    let report = health.report().await;
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, axum::Json(report)).into_response()
}

async fn metrics(State(figures): State<Arc<Figures>>) -> Response {
    figures.observe().await;
    rendered()
}

/// All metrics.
fn rendered() -> Response {
    let Some(recorder) = telemetry::recorder() else {
        return (
            StatusCode::INTERNAL_SERVER_ERROR,
            "no metrics; see the log\n",
        )
            .into_response();
    };
    let format = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (format, recorder.render()).into_response()
}

/// What a connection may cost.
pub(crate) struct Bounds {
    /// How long a client may take to send a request's head.
    pub(crate) head_timeout: Duration,
    /// The most bytes of a request's head.
    pub(crate) max_head: usize,
    /// Whether a connection may carry more than one request.
    pub(crate) keep_alive: bool,
}

/// Serves one connection until either side closes it.
pub(crate) async fn serve(
    router: &TowerToHyperService<Router>,
    connection: Connection,
    drain: Drain,
    bounds: Bounds,
) {
    let peer = Peer(connection.peer().ip());
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_timeout)
        .max_buf_size(bounds.max_head)
        .keep_alive(bounds.keep_alive);
    let serving = builder.serve_connection(TokioIo::new(connection), service);
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = drain.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

/// What the connection of an administrator may cost.
const ADMINISTRATION: Bounds = Bounds {
    head_timeout: HEAD_TIMEOUT,
    max_head: 64 * 1024,
    keep_alive: true,
};
/// Said to whom there is no room for.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 21\r\n\r\ntoo many connections\n";

impl Service for Starting {
    async fn serve(&self, connection: Connection, drain: Drain) {
        serve(&self.router, connection, drain, ADMINISTRATION).await;
    }

    fn busy_reply(&self, _: Busy) -> &'static [u8] {
        BUSY
    }

    fn name(&self) -> &'static str {
        "http"
    }
}

impl Service for Http {
    async fn serve(&self, connection: Connection, drain: Drain) {
        serve(&self.router, connection, drain, ADMINISTRATION).await;
    }

    fn busy_reply(&self, _: Busy) -> &'static [u8] {
        BUSY
    }

    fn name(&self) -> &'static str {
        "http"
    }
}
