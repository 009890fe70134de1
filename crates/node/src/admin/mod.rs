//! The administration API under `/v1`: JSON over HTTP with a bearer token, from
//! named networks only. One file per kind of thing.

pub(crate) mod api;

mod accounts;
mod aliases;
mod cluster;
mod default_mailboxes;
mod dns;
mod domains;
mod error;
mod groups;
mod queue;
mod status;
mod tls_reports;
mod trace;
mod verify;

use std::sync::{Arc, OnceLock};

use axum::extract::{
    DefaultBodyLimit, FromRequest, FromRequestParts, Query as AxumQuery, Request, State,
};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json as AxumJson, Router};
use bytes::Bytes;
use postrider_body::Verifier;
use postrider_meta::{Act, Ask, Client, Cursor, Page, ReadAt};
use postrider_meta_raft::Archive;
use postrider_net::Network;
use postrider_queue::TlsReporter;
use postrider_types::Address;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;

pub(crate) use error::Error;

use crate::backend::Backend;
use crate::cluster::Cluster;
use crate::health::Health;
use crate::http::Peer;
use crate::web::Site;
use api::List;

/// The largest request: a group's members in one go.
const MAX_REQUEST: usize = 4 << 20;
/// The longest page of a list.
const PAGE: u32 = 100;

/// What the API works with.
#[derive(Clone)]
pub(crate) struct Handles {
    pub(crate) meta: Client,
    pub(crate) backend: Backend,
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) health: Arc<Health>,
    /// Compares bodies with the bucket.
    pub(crate) verifier: Verifier,
    /// What the bucket holds to recover from; None for a node that stands alone.
    pub(crate) archive: Option<Archive>,
    /// This node's name and postmaster.
    pub(crate) smtp: Arc<postrider_smtp::Settings>,
    /// Sends reports about TLS; nothing as long as this node sends no mail.
    pub(crate) tls_reporter: Arc<OnceLock<TlsReporter>>,
    /// The public web pages, as this node's settings have them.
    pub(crate) site: Site,
    pub(crate) token: Arc<str>,
    pub(crate) from: Arc<[Network]>,
}

type Result<T> = std::result::Result<T, Error>;

/// The routes, to be nested under `/v1`.
pub(crate) fn router(handles: Handles) -> Router {
    Router::new()
        .route("/status", get(status::show))
        .route("/check", get(status::check))
        .route("/verify/{part}", get(verify::step))
        .route("/domains", get(domains::list).post(domains::add))
        .route(
            "/domains/{name}",
            get(domains::show)
                .patch(domains::set)
                .delete(domains::remove),
        )
        .route("/domains/{name}/dns", get(dns::show))
        .route("/domains/{name}/keys", post(dns::change_keys))
        .route("/accounts", get(accounts::list).post(accounts::add))
        .route(
            "/accounts/{address}",
            get(accounts::show)
                .patch(accounts::set)
                .delete(accounts::remove),
        )
        .route("/aliases", get(aliases::list).put(aliases::set))
        .route("/aliases/{address}", axum::routing::delete(aliases::remove))
        .route("/groups", get(groups::list).post(groups::add))
        .route(
            "/groups/{address}",
            get(groups::show).patch(groups::set).delete(groups::remove),
        )
        .route(
            "/default-mailboxes",
            get(default_mailboxes::list).put(default_mailboxes::set),
        )
        .route("/queue", get(queue::list))
        .route("/queue/stats", get(queue::stats))
        .route("/queue/destinations", get(queue::destinations))
        // A word for all that a filter names, an id for one.
        .route(
            "/queue/{of}",
            get(queue::show)
                .post(queue::change_all)
                .delete(queue::remove),
        )
        .route("/queue/{of}/{action}", post(queue::change))
        .route("/tls-reports", get(tls_reports::list))
        .route("/tls-reports/send", post(tls_reports::send))
        .route("/trace/{id}", get(trace::show))
        .route("/cluster", get(cluster::show))
        .route("/cluster/hash", get(cluster::hash))
        .route("/cluster/tokens", post(cluster::add_token))
        .route("/cluster/leader", post(cluster::move_leader))
        .route(
            "/cluster/nodes/{id}",
            axum::routing::delete(cluster::remove_node),
        )
        .fallback(async || Error::new(StatusCode::NOT_FOUND, "not_found", "no such resource"))
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .layer(middleware::from_fn_with_state(handles.clone(), authorize))
        .with_state(handles)
}

/// Lets through who comes from a named network and bears the token.
async fn authorize(State(handles): State<Handles>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let near = peer.is_some_and(|ip| handles.from.iter().any(|network| network.contains(ip)));
    if !near {
        let text = "administration is not allowed from this address; see http.admin_from";
        return Error::new(StatusCode::FORBIDDEN, "forbidden", text).into_response();
    }
    let bearer = request.headers().get(header::AUTHORIZATION);
    let bearer = bearer
        .map(header::HeaderValue::as_bytes)
        .unwrap_or_default();
    let given = bearer.strip_prefix(b"Bearer ").unwrap_or_default();
    if !bool::from(given.ct_eq(handles.token.as_bytes())) {
        let text =
            "send the token from the node's admin.token file as `Authorization: Bearer TOKEN`";
        return Error::new(StatusCode::UNAUTHORIZED, "unauthorized", text).into_response();
    }
    next.run(request).await
}

/// JSON whose rejection is one of our problems.
struct Json<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let AxumJson(value) = AxumJson::from_request(request, state).await?;
        Ok(Self(value))
    }
}

/// A query whose rejection is one of our problems.
struct Query<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let AxumQuery(value) = AxumQuery::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

/// An address among others: what is wrong with it is of no use without its name.
fn one_of_several(text: &str) -> Result<Address> {
    let wrong = |error| Error::invalid(format!("`{text}`: {error}"));
    Address::parse(text).map_err(wrong)
}

/// `?after=…&limit=…`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paging {
    after: Option<String>,
    limit: Option<u32>,
    /// Only of this domain, where the list knows domains.
    domain: Option<String>,
}

impl Paging {
    fn after(&self) -> Result<Option<Cursor>> {
        cursor(self.after.as_deref())
    }

    fn limit(&self) -> u32 {
        self.limit.unwrap_or(PAGE).clamp(1, PAGE)
    }
}

/// What [`hex`] made of a cursor.
fn cursor(text: Option<&str>) -> Result<Option<Cursor>> {
    let Some(text) = text else {
        return Ok(None);
    };
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    };
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
    let bytes = bytes.ok_or_else(|| Error::invalid("`after` is not a `next` that we gave"))?;
    Ok(Some(Cursor(Bytes::from(bytes))))
}

fn hex(cursor: Cursor) -> String {
    cursor.0.iter().map(|b| format!("{b:02x}")).collect()
}

impl<T> List<T> {
    fn of<V: Into<T>>(page: Page<V>) -> AxumJson<Self> {
        AxumJson(Self {
            items: page.items.into_iter().map(Into::into).collect(),
            next: page.next.map(hex),
        })
    }
}

impl Handles {
    /// Runs a command; a refusal is an error.
    async fn run<A: Act>(&self, act: A) -> Result<A::Outcome> {
        Ok(self.meta.run(act).await?.0?)
    }

    /// Answers a query from the newest state.
    async fn ask<A: Ask>(&self, ask: A) -> Result<A::Answer> {
        Ok(self.meta.ask(ask, ReadAt::Latest).await?.0)
    }
}
