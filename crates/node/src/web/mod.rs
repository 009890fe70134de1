//! The public web pages as a [`Service`]: one-click unsubscription and the MTA-STS
//! policies of all domains. Everybody may ask, so everything is bounded: one request
//! per connection, its head, its body and its time.
//!
//! Knows nothing of administration, which has a listener of its own.

mod form;
mod page;
mod policy;
mod site;
mod unsubscribe;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::service::TowerToHyperService;
use postrider_meta::Client;
use postrider_net::{Busy, Connection, Drain, Service};
use postrider_proto::smtp::UnsubscribeKey;

use crate::http;
pub(crate) use site::{Site, public_name};

/// The most bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;
/// How long a connection may last: a head, a body, an answer.
const LIFE: Duration = Duration::from_secs(180);
/// How long the metadata may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The public web pages for a listener.
pub(crate) struct Web {
    router: TowerToHyperService<Router>,
    head_timeout: Duration,
}

/// What the pages work with.
struct Pages {
    meta: Client,
    key: UnsubscribeKey,
    site: Site,
    body_timeout: Duration,
}

impl Web {
    /// Serves the pages of `site`. A client has `request_timeout` for the head of
    /// its request, and as long for its body.
    pub(crate) fn new(
        meta: Client,
        key: UnsubscribeKey,
        site: Site,
        request_timeout: Duration,
    ) -> Self {
        let pages = Pages {
            meta,
            key,
            site,
            body_timeout: request_timeout,
        };
        let router = Router::new()
            .route(
                "/unsubscribe/{token}",
                get(unsubscribe::show).post(unsubscribe::leave),
            )
            .route("/.well-known/mta-sts.txt", get(policy::show))
            .with_state(Arc::new(pages))
            .fallback(async || not_found())
            .layer(middleware::from_fn(guarded))
            .layer(middleware::from_fn(http::bounded));
        Self {
            router: TowerToHyperService::new(router),
            head_timeout: request_timeout,
        }
    }
}

/// Tells browsers to run, load, keep and frame nothing.
async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, page::SECURITY_POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "no such page\n").into_response()
}

impl Service for Web {
    async fn serve(&self, connection: Connection, drain: Drain) {
        let bounds = http::Bounds {
            head_timeout: self.head_timeout,
            max_head: MAX_HEAD,
            keep_alive: false,
        };
        let serving = http::serve(&self.router, connection, drain, bounds);
        if tokio::time::timeout(LIFE, serving).await.is_err() {
            tracing::debug!("a web connection took too long");
        }
    }

    fn busy_reply(&self, _: Busy) -> &'static [u8] {
        // Never sent: what is under TLS cannot be answered before a handshake.
        b""
    }

    fn name(&self) -> &'static str {
        "web"
    }
}

#[cfg(test)]
mod tests;
