//! The pages for people, as HTML without scripts. Every text from outside is
//! escaped here.

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use postrider_types::Address;

/// Allows the style of these pages by its hash, a form back to where the page came
/// from, and nothing else; no other page may frame the button.
pub(super) const SECURITY_POLICY: &str = "default-src 'none'; \
     style-src 'sha256-zHPoRpuFbBOctbuDbaCZrzAnINeWSuA6GXMClu9E9lM='; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Seconds after which a client may ask again while the metadata cannot answer.
pub(super) const RETRY_AFTER: &str = "60";

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;\
padding:0 1.5rem;color:#222;background:#fafafa}h1{font-size:1.4rem;font-weight:600}\
strong{overflow-wrap:anywhere}button{font:inherit;padding:.6rem 1.4rem;border:0;\
border-radius:.4rem;color:#fff;background:#1a5fb4;cursor:pointer}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#1e1e1e}}";

/// Asks whether `member` wants to leave `list`.
pub(super) fn ask(list: &Address, member: &Address) -> Response {
    // No action: the form goes to where the page came from, whatever lies before it.
    let body = format!(
        "<p>Mail to <strong>{}</strong> shall no longer come to <strong>{}</strong>.</p>\
         <form method=\"post\"><input type=\"hidden\" name=\"List-Unsubscribe\" \
         value=\"One-Click\"><button>Unsubscribe</button></form>",
        escape(list),
        escape(member)
    );
    page(StatusCode::OK, "Leave this list?", &body)
}

/// Says that `member` is not in `list` any more.
pub(super) fn left(list: &Address, member: &Address) -> Response {
    let body = format!(
        "<p>Mail to <strong>{}</strong> no longer comes to <strong>{}</strong>. What is on its \
         way may still arrive.</p>",
        escape(list),
        escape(member)
    );
    page(StatusCode::OK, "You have left the list", &body)
}

/// Says that a link is none of ours.
pub(super) fn unknown() -> Response {
    let body = "<p>It may have been cut short on its way. Take it whole from a newer message of \
                the list, or write to the list's owner.</p>";
    page(StatusCode::NOT_FOUND, "This link is not valid", body)
}

/// Says that members of `list` cannot leave by a link.
pub(super) fn closed(list: &Address) -> Response {
    let body = format!(
        "<p>Members of <strong>{}</strong> cannot leave it by a link. Write to its owner.</p>",
        escape(list)
    );
    page(StatusCode::FORBIDDEN, "Nothing was changed", &body)
}

/// Says that a request was none, with `status`.
pub(super) fn refused(status: StatusCode) -> Response {
    let body = "<p>The request was not understood. Open the link and use its button.</p>";
    page(status, "Nothing was changed", body)
}

/// Says to try again later.
pub(super) fn unavailable() -> Response {
    let body = "<p>Please try again in a minute.</p>";
    let title = "This does not work at the moment";
    let response = page(StatusCode::SERVICE_UNAVAILABLE, title, body);
    let retry: [(HeaderName, &str); 1] = [(header::RETRY_AFTER, RETRY_AFTER)];
    (retry, response).into_response()
}

/// A page; `body` is HTML.
fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><style>{STYLE}</style></head>\
         <body><h1>{title}</h1>{body}</body></html>\n"
    );
    (status, Html(html)).into_response()
}

/// An address as text within HTML.
fn escape(address: &Address) -> String {
    let mut out = String::new();
    for c in address.to_string().chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn the_style_is_the_one_that_is_allowed() {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
        let source = format!("style-src 'sha256-{}';", STANDARD.encode(hash.as_ref()));
        assert!(SECURITY_POLICY.contains(&source), "{source}");
    }

    #[tokio::test]
    async fn addresses_are_escaped() {
        let list = Address::parse("a&b\"'/script@example.org").unwrap();
        let member = Address::parse("jürgen@example.org").unwrap();
        for response in [ask(&list, &member), left(&list, &member), closed(&list)] {
            let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
            let text = String::from_utf8(body.to_vec()).unwrap();
            assert!(
                text.contains("a&amp;b&quot;&#39;/script@example.org"),
                "{text}"
            );
        }
    }
}
