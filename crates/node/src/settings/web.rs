//! The section `[web]`: what everybody may ask of a `web` listener, and how others
//! reach it.

use std::time::Duration;

use hyper::Uri;
use postrider_dkim::records::StsMode;
use postrider_types::{DomainName, human};
use serde::Deserialize;

/// The longest `web.url`, in bytes: with the longest token a link still fits into a
/// line of a header (RFC 5322 §2.1.1).
const MAX_URL: usize = 200;
/// The most names in a policy; a sender reads 64 KiB of it (RFC 8461 §3.2).
const MAX_MX: usize = 100;
/// How long others may keep a policy (RFC 8461 §3.2: a year at the most).
const MAX_AGE: (Duration, Duration) = (Duration::from_secs(3600), Duration::from_secs(31_557_600));
const REQUEST_TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What a `web` listener serves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Where links in messages lead, `https://HOST` with a port or path if need be:
    /// to a `web` listener, or to a server in front of one. None: `https://` and
    /// `smtp.hostname`.
    pub url: Option<String>,
    /// How long a client may take to send a request's head, and then its body.
    #[serde(with = "human::duration")]
    pub request_timeout: Duration,
    /// The MTA-STS policy of all domains.
    pub mta_sts: MtaSts,
}

/// What others are told of TLS to the hosts that take mail (RFC 8461).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MtaSts {
    /// `testing`, `enforce`, or `none` to withdraw a policy.
    pub mode: StsMode,
    /// How long others may keep the policy.
    #[serde(with = "human::duration")]
    pub max_age: Duration,
    /// The names of the hosts that take mail, as the MX records have them, or
    /// `*.DOMAIN`; empty for `smtp.hostname` alone.
    pub mx: Vec<String>,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            url: None,
            request_timeout: Duration::from_secs(10),
            mta_sts: MtaSts::default(),
        }
    }
}

impl Default for MtaSts {
    fn default() -> Self {
        Self {
            // Others report what would fail before anything does.
            mode: StsMode::Testing,
            max_age: Duration::from_secs(7 * 86_400),
            mx: Vec::new(),
        }
    }
}

impl Web {
    /// Says what is wrong with the section, and what is allowed; `in_cluster` if
    /// other nodes may take mail as well.
    pub(super) fn check(&self, in_cluster: bool) -> Result<(), String> {
        if let Some(url) = &self.url
            && !is_base(url)
        {
            return Err(format!(
                "web.url is `{url}`; write https://HOST, without a slash or a query at its end, \
                 of at most {MAX_URL} bytes"
            ));
        }
        let (least, most) = REQUEST_TIMEOUT;
        if !(least..=most).contains(&self.request_timeout) {
            return Err(format!(
                "web.request_timeout is {:?}; it may be 1s to 1m",
                self.request_timeout
            ));
        }
        self.mta_sts.check(in_cluster)
    }
}

impl MtaSts {
    fn check(&self, in_cluster: bool) -> Result<(), String> {
        let (least, most) = MAX_AGE;
        if !(least..=most).contains(&self.max_age) {
            return Err(format!(
                "web.mta_sts.max_age is {:?}; it may be 1h to 365d",
                self.max_age
            ));
        }
        if self.mx.len() > MAX_MX {
            return Err(format!("web.mta_sts.mx has more than {MAX_MX} names"));
        }
        if let Some(bad) = self.mx.iter().find(|name| pattern(name).is_none()) {
            return Err(format!(
                "web.mta_sts.mx has `{bad}`; write the name of a host, or *.example.org"
            ));
        }
        // Others would refuse to deliver to the nodes that are not named.
        if in_cluster && self.mode == StsMode::Enforce && self.mx.is_empty() {
            return Err(
                "web.mta_sts.mode is \"enforce\" in a cluster: name all hosts that take mail in \
                 web.mta_sts.mx, alike on all nodes"
                    .into(),
            );
        }
        Ok(())
    }

    /// The names as a policy has them; those of `host` alone where none are set.
    pub(crate) fn names(&self, host: Option<&DomainName>) -> Vec<String> {
        if self.mx.is_empty() {
            return host.map(ToString::to_string).into_iter().collect();
        }
        self.mx.iter().filter_map(|name| pattern(name)).collect()
    }
}

/// A name of a policy in its one form (RFC 8461 §4.1: a wildcard is the first label).
fn pattern(name: &str) -> Option<String> {
    match name.strip_prefix("*.") {
        Some(rest) => Some(format!("*.{}", DomainName::parse(rest).ok()?)),
        None => Some(DomainName::parse(name).ok()?.to_string()),
    }
}

/// Whether links can begin with `url`.
fn is_base(url: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"<>\"#?".contains(&byte);
    if url.len() > MAX_URL || url.ends_with('/') || !url.bytes().all(plain) {
        return false;
    }
    let Ok(uri) = url.parse::<Uri>() else {
        return false;
    };
    // RFC 8058 §3.1: the link is an HTTPS URI.
    let host = uri.authority().map(|it| (it.host(), it.as_str()));
    uri.scheme_str() == Some("https")
        && host.is_some_and(|(host, all)| !host.is_empty() && !all.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_begin_with_https_and_a_host() {
        for good in [
            "https://mail.example.org",
            "https://mail.example.org:8443",
            "https://www.example.org/mail",
            "https://[2001:db8::1]",
        ] {
            assert!(is_base(good), "{good}");
        }
        let long = format!("https://{}", "a".repeat(MAX_URL));
        for bad in [
            "",
            "mail.example.org",
            "http://mail.example.org",
            "https://",
            "https://mail.example.org/",
            "https://mail.example.org?x",
            "https://user@mail.example.org",
            "https://mail.example.org/<x>",
            "https://mail example.org",
            &long,
        ] {
            assert!(!is_base(bad), "{bad}");
        }
    }

    #[test]
    fn a_policy_that_would_shut_mail_out_is_refused() {
        let mut web = Web::default();
        assert_eq!(web.check(true), Ok(()));
        web.mta_sts.mode = StsMode::Enforce;
        assert_eq!(web.check(false), Ok(()));
        assert!(web.check(true).unwrap_err().contains("web.mta_sts.mx"));
        web.mta_sts.mx = vec!["MX1.example.org".into(), "*.example.net".into()];
        assert_eq!(web.check(true), Ok(()));
        let names = web.mta_sts.names(None);
        assert_eq!(names, ["mx1.example.org", "*.example.net"]);
        web.mta_sts.mx.push("*".into());
        assert!(web.check(true).unwrap_err().contains("`*`"));
        web.mta_sts = MtaSts {
            max_age: Duration::ZERO,
            ..MtaSts::default()
        };
        assert!(web.check(false).is_err());
    }

    #[test]
    fn the_host_stands_where_no_names_are_set() {
        let host = DomainName::parse("mail.example.org").unwrap();
        let names = MtaSts::default().names(Some(&host));
        assert_eq!(names, ["mail.example.org"]);
        assert!(MtaSts::default().names(None).is_empty());
    }
}
