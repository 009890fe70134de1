//! `/.well-known/mta-sts.txt`: the MTA-STS policies of all domains (RFC 8461 §3.2),
//! told apart by the host that is asked.

use std::sync::Arc;

use axum::extract::State;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use postrider_meta::{ReadAt, query};
use postrider_types::DomainName;

use super::{ANSWER_TIMEOUT, Pages, not_found, page};

pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(domain) = domain(&uri, &headers) else {
        return not_found();
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, pages.is_local(&domain)).await {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => return not_found(),
        Ok(Err(error)) => {
            tracing::warn!(%error, %domain, "an MTA-STS policy could not be served");
            return unavailable();
        }
        Err(_) => return unavailable(),
    }
    match pages.site.policy(&domain) {
        Some(policy) => ([(header::CONTENT_TYPE, "text/plain")], policy.text).into_response(),
        None => not_found(),
    }
}

fn unavailable() -> Response {
    let retry = [(header::RETRY_AFTER, page::RETRY_AFTER)];
    (StatusCode::SERVICE_UNAVAILABLE, retry, "try again later\n").into_response()
}

/// The domain whose policy host is asked (RFC 8461 §3.3).
fn domain(uri: &Uri, headers: &HeaderMap) -> Option<DomainName> {
    // RFC 9112 §3.2.2: a whole URI outweighs the field.
    let host = match uri.host() {
        Some(host) => host.to_owned(),
        None => {
            let text = headers.get(header::HOST)?.to_str().ok()?;
            text.parse::<Authority>().ok()?.host().to_owned()
        }
    };
    let host = DomainName::parse(&host).ok()?;
    DomainName::parse(host.as_str().strip_prefix("mta-sts.")?).ok()
}

impl Pages {
    /// Whether `domain` is one of ours.
    async fn is_local(&self, domain: &DomainName) -> Result<bool, postrider_meta::Error> {
        let name = domain.clone();
        let (found, _) = self
            .meta
            .ask(query::Domain { name }, ReadAt::Latest)
            .await?;
        Ok(found.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(uri: &str, host: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        let found = domain(&uri.parse().unwrap(), &headers)?;
        Some(found.to_string())
    }

    #[test]
    fn the_host_tells_the_domain() {
        let path = "/.well-known/mta-sts.txt";
        for host in [
            "mta-sts.example.org",
            "mta-sts.example.org:443",
            "MTA-STS.Example.ORG",
        ] {
            assert_eq!(asked(path, host).as_deref(), Some("example.org"), "{host}");
        }
        let whole = "https://mta-sts.example.net/.well-known/mta-sts.txt";
        let found = asked(whole, "mta-sts.example.org");
        assert_eq!(found.as_deref(), Some("example.net"));
        for bad in [
            "example.org",
            "mta-sts.",
            "mta-sts",
            "xmta-sts.example.org",
            "mta-sts..org",
            "[::1]:443",
            "a b",
            "",
        ] {
            assert_eq!(asked(path, bad), None, "{bad}");
        }
    }
}
