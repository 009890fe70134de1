//! [`Poster`]: brings reports to places that take them by HTTPS (RFC 8460 §5.4).

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::{Request, Uri, header};
use postrider_types::DomainName;

use crate::https::{Https, HttpsError};
use crate::{Resolver, SetupError, sts};

/// The type of a report, which comes compressed (RFC 8460 §6.5).
const TYPE: &str = "application/tlsrpt+gzip";

/// Posts reports. Cheap to clone.
#[derive(Clone)]
pub struct Poster {
    https: Arc<Https>,
    resolver: Resolver,
    timeout: Duration,
}

/// A report was not taken; the text says why, and names the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url} does not take it: {reason}")]
pub struct PostError {
    url: String,
    reason: String,
}

impl Poster {
    /// A poster with the time limits and authorities of those who fetch policies.
    /// Reads the settings' file of authorities, if any.
    pub fn new(resolver: Resolver, settings: &sts::Settings) -> Result<Self, SetupError> {
        Ok(Self {
            https: Arc::new(Https::new(settings)?),
            resolver,
            timeout: settings.timeout,
        })
    }

    /// Posts `report`, JSON compressed by gzip, to the place `url` of a
    /// [`ReportPlace`](super::ReportPlace). Its certificate must be valid; an answer
    /// other than 2xx is an error, redirects too.
    pub async fn post(&self, url: &str, report: Bytes) -> Result<(), PostError> {
        let posted = tokio::time::timeout(self.timeout, self.try_post(url, report)).await;
        let failed = |reason| PostError {
            url: url.to_owned(),
            reason,
        };
        match posted {
            Ok(posted) => posted.map_err(|error| failed(error.to_string())),
            Err(_) => Err(failed("it took too long".into())),
        }
    }

    async fn try_post(&self, url: &str, report: Bytes) -> Result<(), HttpsError> {
        let usable = Target::parse(url);
        let target = usable.ok_or_else(|| HttpsError::Other("the URL is not usable".into()))?;
        let request = Request::post(target.path).header(header::CONTENT_TYPE, TYPE);
        let to = (target.host.as_str(), target.port);
        let answer = self.https.ask(&self.resolver, to, request, report).await?;
        // What it says beside its status is of no interest.
        let status = answer.response.status();
        match status.is_success() {
            true => Ok(()),
            false => Err(HttpsError::Other(format!("the server answers {status}"))),
        }
    }
}

/// The parts of a URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    host: DomainName,
    port: u16,
    /// With the query.
    path: String,
}

impl Target {
    /// Those of `url`; none where it is not one of HTTPS, names no domain, or has a
    /// user.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        if uri.scheme_str() != Some("https") {
            return None;
        }
        let authority = uri.authority()?;
        if authority.as_str().contains('@') {
            return None;
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            // A colon with no number behind it, or with one that is none.
            None if authority.as_str() != authority.host() => return None,
            None => 443,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Some(Self {
            host: DomainName::parse(authority.host()).ok()?,
            port: (port != 0).then_some(port)?,
            path: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_parts() {
        let parts = |url: &str| {
            let target = Target::parse(url)?;
            Some((target.host.to_string(), target.port, target.path))
        };
        let full = parts("https://Reports.example.org:8443/v1?of=a#part");
        let expected = ("reports.example.org".into(), 8443, "/v1?of=a".into());
        assert_eq!(full, Some(expected));
        let short = parts("https://example.org");
        assert_eq!(short, Some(("example.org".into(), 443, "/".into())));
        for bad in [
            "http://example.org/",
            "https:///path",
            "https://user@example.org/",
            "https://example.org:0/",
            "https://example.org:99999/",
            "https://example.org:/",
            "https://[::1]/",
            "example.org",
        ] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }
}
