//! What a node knows of the public web pages from its settings: whether it serves
//! them, where links to them lead, and what the policies say.

use std::sync::Arc;

use postrider_dkim::records::{StsMode, StsPolicy};
use postrider_types::DomainName;

use crate::settings::{MtaSts, Protocol, Settings};

/// The public web pages, as the settings of a node have them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Site(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    listens: bool,
    url: Option<String>,
    sts: MtaSts,
    mx: Vec<String>,
}

impl Site {
    /// As `settings` have it.
    pub(crate) fn of(settings: &Settings) -> Self {
        let hostname = &settings.smtp.hostname;
        let mut listeners = settings.listener.iter();
        let listens = listeners.any(|listener| listener.protocol == Protocol::Web);
        let own = || listens.then(|| format!("https://{hostname}"));
        let sts = settings.web.mta_sts.clone();
        Self(Arc::new(Inner {
            listens,
            url: settings.web.url.clone().or_else(own),
            mx: sts.names(public_name(hostname).as_ref()),
            sts,
        }))
    }

    /// Whether this node itself serves the pages.
    pub(crate) fn listens(&self) -> bool {
        self.0.listens
    }

    /// What links to the pages begin with; None where this node knows of nobody who
    /// serves them.
    pub(crate) fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }

    /// The mode of the policies.
    pub(crate) fn sts_mode(&self) -> StsMode {
        self.0.sts.mode
    }

    /// Whether the settings name the hosts of the policies.
    pub(crate) fn names_mx(&self) -> bool {
        !self.0.sts.mx.is_empty()
    }

    /// The MTA-STS policy of `domain`; None where no host is known that takes mail.
    pub(crate) fn policy(&self, domain: &DomainName) -> Option<StsPolicy> {
        let Inner { sts, mx, .. } = &*self.0;
        // RFC 8461 §3.2: at least one host, except to withdraw a policy.
        let has_text = !mx.is_empty() || sts.mode == StsMode::None;
        has_text.then(|| StsPolicy::new(domain, mx, sts.mode, sts.max_age))
    }
}

/// The host's name, if others can look it up.
pub(crate) fn public_name(hostname: &str) -> Option<DomainName> {
    let name = DomainName::parse(hostname).ok()?;
    // The last label of an address in digits is no name of a domain.
    let last = name.as_str().rsplit('.').next()?;
    let is_public = name.as_str().contains('.')
        && !last.bytes().all(|b| b.is_ascii_digit())
        && !matches!(last, "localhost" | "local" | "localdomain");
    is_public.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Listener;

    fn settings(hostname: &str) -> Settings {
        let mut settings = Settings::default();
        settings.smtp.hostname = hostname.into();
        settings
    }

    #[test]
    fn only_names_that_others_can_look_up_are_published() {
        for name in ["mail.example.org", "MAIL.example.ORG"] {
            let name = public_name(name).map(|name| name.to_string());
            assert_eq!(name.as_deref(), Some("mail.example.org"));
        }
        for bad in ["localhost", "mail", "192.0.2.1", "mail.local", "[::1]", ""] {
            assert_eq!(public_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn links_lead_where_somebody_listens() {
        let mut settings = settings("mail.example.org");
        assert_eq!(Site::of(&settings).url(), None);
        settings.listener = vec![Listener::new(Protocol::Web, Vec::new())];
        let site = Site::of(&settings);
        assert!(site.listens());
        assert_eq!(site.url(), Some("https://mail.example.org"));
        settings.listener.clear();
        settings.web.url = Some("https://www.example.org".into());
        let site = Site::of(&settings);
        assert!(!site.listens());
        assert_eq!(site.url(), Some("https://www.example.org"));
    }

    #[test]
    fn a_policy_names_hosts_or_withdraws() {
        let domain = DomainName::parse("example.org").unwrap();
        let text = |settings: &Settings| Site::of(settings).policy(&domain).map(|it| it.text);
        let mut settings = settings("mail.example.org");
        let first = Site::of(&settings).policy(&domain).unwrap();
        assert_eq!(
            first.text,
            "version: STSv1\r\nmode: testing\r\nmx: mail.example.org\r\nmax_age: 604800\r\n"
        );
        settings.web.mta_sts.mx = vec!["mx1.example.org".into(), "*.example.net".into()];
        let second = Site::of(&settings).policy(&domain).unwrap();
        assert!(
            second
                .text
                .contains("mx: mx1.example.org\r\nmx: *.example.net\r\n")
        );
        assert_ne!(first.id, second.id);
        settings.web.mta_sts.mx.clear();
        settings.smtp.hostname = "localhost".into();
        assert_eq!(text(&settings), None);
        settings.web.mta_sts.mode = StsMode::None;
        let withdrawn = "version: STSv1\r\nmode: none\r\nmax_age: 604800\r\n";
        assert_eq!(text(&settings).as_deref(), Some(withdrawn));
    }
}
