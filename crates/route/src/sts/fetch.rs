//! Fetches the text of a policy over HTTPS (RFC 8461 §3.3).

use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode, header};
use postrider_types::DomainName;

use super::{Problem, ProblemKind, Settings};
use crate::https::{Https, HttpsError};
use crate::{Resolver, SetupError};

/// The longest policy, in bytes.
const MAX_SIZE: usize = 64 << 10;

const PATH: &str = "/.well-known/mta-sts.txt";

/// Fetches policies.
pub(super) struct Fetcher {
    https: Https,
    port: u16,
    timeout: Duration,
}

impl Fetcher {
    pub(super) fn new(settings: &Settings) -> Result<Self, SetupError> {
        Ok(Self {
            https: Https::new(settings)?,
            port: settings.port,
            timeout: settings.timeout,
        })
    }

    /// The text of the policy of `domain`.
    pub(super) async fn fetch(
        &self,
        resolver: &Resolver,
        domain: &DomainName,
    ) -> Result<String, Problem> {
        let host = format!("mta-sts.{domain}");
        let fetched = tokio::time::timeout(self.timeout, self.get(resolver, &host)).await;
        fetched
            .unwrap_or_else(|_| Err(problem("it took too long")))
            .map_err(|Problem { kind, text }| {
                Problem::new(kind, format!("cannot fetch https://{host}{PATH}: {text}"))
            })
    }

    async fn get(&self, resolver: &Resolver, host: &str) -> Result<String, Problem> {
        let request = Request::get(PATH).header(header::ACCEPT, "text/plain");
        let to = (host, self.port);
        let answer = self.https.ask(resolver, to, request, Bytes::new()).await?;
        check(&answer.response)?;
        let text = String::from_utf8(answer.read(MAX_SIZE).await?.into());
        text.map_err(|_| invalid("it is no UTF-8 text"))
    }
}

/// RFC 8461 §3.3: only a 200 with plain text is a policy; redirects are not
/// followed.
fn check(response: &Response<Incoming>) -> Result<(), Problem> {
    let status = response.status();
    if status.is_redirection() {
        return Err(problem("it redirects, which is not allowed"));
    }
    if status != StatusCode::OK {
        return Err(problem(format!("the server answers {status}")));
    }
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    match essence.eq_ignore_ascii_case("text/plain") {
        true => Ok(()),
        false => Err(invalid("its type is not text/plain")),
    }
}

impl From<HttpsError> for Problem {
    fn from(error: HttpsError) -> Self {
        let kind = match error {
            HttpsError::Certificate(_) => ProblemKind::Certificate,
            HttpsError::TooLong(_) => ProblemKind::Invalid,
            HttpsError::Other(_) => ProblemKind::Fetch,
        };
        Self::new(kind, error.to_string())
    }
}

fn problem(text: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Fetch, text)
}

fn invalid(text: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Invalid, text)
}
