//! `/unsubscribe/TOKEN`: a member leaves a list with one click (RFC 8058), by the
//! link in a message of the list and without a login.

use std::sync::Arc;

use axum::body::{HttpBody as _, to_bytes};
use axum::extract::{Extension, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use postrider_meta::{Refusal, command};
use postrider_types::Address;

use super::{ANSWER_TIMEOUT, Pages, form, page};
use crate::http::Peer;

/// The most bytes of a request's body.
const MAX_BODY: usize = 4096;

/// Shows a button. Changes nothing: whatever follows links, such as a scanner of
/// mail, must not unsubscribe anybody (RFC 8058 §3.1).
pub(super) async fn show(State(pages): State<Arc<Pages>>, Path(token): Path<String>) -> Response {
    match pages.open(&token) {
        Some((list, member)) => page::ask(&list, &member),
        None => page::unknown(),
    }
}

/// Takes the member out of the list. That it is gone already is told to nobody.
pub(super) async fn leave(
    State(pages): State<Arc<Pages>>,
    Path(token): Path<String>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    let Some((list, member)) = pages.open(&token) else {
        return page::unknown();
    };
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.to_owned();
    let body = match pages.body(request).await {
        Ok(body) => body,
        Err(status) => return page::refused(status),
    };
    if !form::is_one_click(&kind, &body) {
        return page::refused(StatusCode::BAD_REQUEST);
    }
    let remove = command::RemoveMember {
        group: list.clone(),
        member: member.clone(),
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, pages.meta.run(remove)).await {
        Ok(Ok((Ok(removed), _))) => {
            if removed {
                tracing::info!(%list, %member, %peer, "a member has left a list");
            }
            page::left(&list, &member)
        }
        Ok(Ok((Err(Refusal::Invalid(_)), _))) => page::closed(&list),
        Ok(Ok((Err(refusal), _))) => {
            tracing::warn!(%list, %refusal, "a member could not leave a list");
            page::unavailable()
        }
        Ok(Err(error)) => {
            tracing::warn!(%list, %error, "a member could not leave a list");
            page::unavailable()
        }
        Err(_) => {
            tracing::warn!(%list, "a member could not leave a list: no answer in time");
            page::unavailable()
        }
    }
}

impl Pages {
    /// The list and the member that `token` names.
    fn open(&self, token: &str) -> Option<(Address, Address)> {
        let opened = self.key.open(token)?;
        let list = Address::parse(&opened.list).ok()?;
        Some((list, Address::parse(&opened.member).ok()?))
    }

    /// The body of `request`; the status to refuse it with otherwise.
    async fn body(&self, request: Request) -> Result<Bytes, StatusCode> {
        let body = request.into_body();
        // What says that it is too large is not waited for.
        if body.size_hint().lower() > MAX_BODY as u64 {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        match tokio::time::timeout(self.body_timeout, to_bytes(body, MAX_BODY)).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE),
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        }
    }
}
