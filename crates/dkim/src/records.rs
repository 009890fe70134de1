//! The DNS records that a mail domain publishes, as texts for whoever edits its
//! zone, and the MTA-STS policy that belongs to them. Asks no DNS.

use std::fmt::{self, Write as _};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use postrider_types::{Address, DomainName};
use serde::{Deserialize, Serialize};

use crate::SelectedKey;

/// The most bytes of one character string (RFC 1035 §3.3).
const MAX_STRING: usize = 255;
/// The longest that a policy may be kept (RFC 8461 §3.2), in seconds.
const MAX_STS_AGE: u64 = 31_557_600;

/// What others shall do where a policy of the domain is not met: the mode of
/// MTA-STS (RFC 8461 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StsMode {
    /// Withdraw a policy that was published before.
    None,
    /// Deliver all the same, and report.
    Testing,
    /// Deliver to nobody without a valid certificate.
    Enforce,
}

impl StsMode {
    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Testing => "testing",
            Self::Enforce => "enforce",
        }
    }
}

/// What others shall do with mail that only claims to come from the domain (RFC
/// 7489 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DmarcPolicy {
    /// Nothing but report.
    None,
    /// Treat it as suspicious.
    Quarantine,
    /// Refuse it.
    Reject,
}

impl DmarcPolicy {
    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

/// What the records are made from.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// The domain whose records they are.
    pub domain: &'a DomainName,
    /// The hosts that take and send its mail and serve its users, all alike.
    pub hosts: &'a [DomainName],
    /// The keys that sign its mail.
    pub keys: &'a [SelectedKey],
    /// The MTA-STS policy; None to have none.
    pub sts: Option<&'a StsPolicy>,
    /// The DMARC policy.
    pub dmarc: DmarcPolicy,
    /// Where others send their reports to; None to get none.
    pub reports: Option<&'a Address>,
}

/// The type of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// Where mail goes.
    Mx,
    /// A text.
    Txt,
    /// Where a service is.
    Srv,
    /// Another name of a host.
    Cname,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mx => "MX",
            Self::Txt => "TXT",
            Self::Srv => "SRV",
            Self::Cname => "CNAME",
        })
    }
}

/// One record to publish. Its `Display` is its line of a zone file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// The whole name, without a final dot.
    pub name: String,
    /// The type.
    pub kind: Kind,
    /// The value: a TXT's whole text without quotes, all else as in a zone file.
    pub value: String,
    /// What it is for, in a sentence.
    pub purpose: &'static str,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. IN {} ", self.name, self.kind)?;
        if self.kind != Kind::Txt {
            return f.write_str(&self.value);
        }
        // RFC 1035 §5.1: quotes and backslashes are escaped. All texts here are
        // ASCII, so that they can be cut anywhere.
        for (index, part) in self.value.as_bytes().chunks(MAX_STRING).enumerate() {
            f.write_str(if index > 0 { " \"" } else { "\"" })?;
            for &byte in part {
                if matches!(byte, b'"' | b'\\') {
                    f.write_char('\\')?;
                }
                f.write_char(char::from(byte))?;
            }
            f.write_char('"')?;
        }
        Ok(())
    }
}

/// The MTA-STS policy to serve over HTTPS (RFC 8461 §3.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StsPolicy {
    /// Its host, which needs a certificate for this name.
    pub host: String,
    /// Its path.
    pub path: &'static str,
    /// The text, with CRLF line ends, to be served as `text/plain`.
    pub text: String,
    /// What tells it from every other policy: it changes with the text.
    pub id: String,
}

impl StsPolicy {
    /// The policy of `domain` that allows the hosts `mx`, names or `*.DOMAIN`, to be
    /// kept for `max_age`, up to a year.
    pub fn new(domain: &DomainName, mx: &[String], mode: StsMode, max_age: Duration) -> Self {
        let mut text = format!("version: STSv1\r\nmode: {}\r\n", mode.as_str());
        for host in mx {
            text.push_str(&format!("mx: {host}\r\n"));
        }
        let max_age = max_age.as_secs().min(MAX_STS_AGE);
        text.push_str(&format!("max_age: {max_age}\r\n"));
        // RFC 8461 §3.1: 1 to 32 letters and digits.
        let hash = digest(&SHA256, text.as_bytes());
        let id = hash.as_ref()[..10]
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        Self {
            host: format!("mta-sts.{domain}"),
            path: "/.well-known/mta-sts.txt",
            text,
            id,
        }
    }
}

/// All that a domain publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The records, in the order in which to explain them.
    pub records: Vec<Record>,
    /// The policy that its MTA-STS record announces.
    pub policy: Option<StsPolicy>,
}

/// The records for `setup`.
pub fn records(setup: &Setup<'_>) -> Published {
    let domain = setup.domain.as_str();
    let mut list = List {
        domain,
        records: Vec::new(),
    };
    for host in setup.hosts {
        list.add("", Kind::Mx, format!("10 {host}."), MX);
    }
    // RFC 7208 §5.4: the domain's MX hosts are those that send. Others are not
    // refused outright: their mail may still be signed, and DMARC decides.
    list.add("", Kind::Txt, "v=spf1 mx ~all".into(), SPF);
    for key in setup.keys {
        let name = format!("{}._domainkey", key.selector());
        list.add(&name, Kind::Txt, key.key().record(), DKIM);
    }
    list.dmarc(setup);
    if let Some(policy) = setup.sts {
        let value = format!("v=STSv1; id={};", policy.id);
        list.add("_mta-sts", Kind::Txt, value, STS);
        if let Some(host) = setup.hosts.first() {
            list.add("mta-sts", Kind::Cname, format!("{host}."), STS_HOST);
        }
    }
    if let Some(reports) = setup.reports {
        let value = format!("v=TLSRPTv1; rua={}", mailto(reports));
        list.add("_smtp._tls", Kind::Txt, value, TLS_REPORTS);
    }
    list.services(setup.hosts);
    Published {
        records: list.records,
        policy: setup.sts.cloned(),
    }
}

const MX: &str = "Mail for the domain is delivered to this host.";
const SPF: &str =
    "Only the hosts of the MX records send mail for the domain; add others that do before `~all`.";
const DKIM: &str = "Others verify the signatures of the domain's mail with this key.";
const DMARC: &str =
    "Tells others what to do with mail that neither SPF nor DKIM shows to be from the domain.";
const DMARC_CONSENT: &str =
    "The other domain agrees to receive the DMARC reports; it belongs into that domain's zone.";
const STS: &str =
    "Others deliver to the domain over verified TLS alone; the id changes with the policy.";
const STS_HOST: &str =
    "The host that serves the MTA-STS policy over HTTPS, with a certificate for this name.";
const TLS_REPORTS: &str = "Others report here when TLS to the domain's hosts fails.";
const SUBMISSIONS: &str = "Mail programs find where to send mail, over TLS.";
const SUBMISSION: &str = "Mail programs find where to send mail, with STARTTLS.";
const IMAPS: &str = "Mail programs find where to read mail with IMAP, over TLS.";
const POP3S: &str = "Mail programs find where to fetch mail with POP3, over TLS.";
const AUTOCONFIG: &str = "Mail programs fetch their settings from this host.";

/// Service, priority and port. RFC 6186 §3.3: a client that knows both IMAP and
/// POP3 takes the lower priority; RFC 8314 §5.1: TLS from the start before STARTTLS.
const SERVICES: [(&str, u16, u16, &str); 4] = [
    ("_submissions._tcp", 0, 465, SUBMISSIONS),
    ("_submission._tcp", 10, 587, SUBMISSION),
    ("_imaps._tcp", 0, 993, IMAPS),
    ("_pop3s._tcp", 10, 995, POP3S),
];

struct List<'a> {
    domain: &'a str,
    records: Vec<Record>,
}

impl List<'_> {
    fn add(&mut self, below: &str, kind: Kind, value: String, purpose: &'static str) {
        let name = match below {
            "" => self.domain.to_owned(),
            below => format!("{below}.{}", self.domain),
        };
        self.records.push(Record {
            name,
            kind,
            value,
            purpose,
        });
    }

    fn dmarc(&mut self, setup: &Setup<'_>) {
        let mut value = format!("v=DMARC1; p={}", setup.dmarc.as_str());
        if let Some(reports) = setup.reports {
            value.push_str(&format!("; rua={}", mailto(reports)));
        }
        self.add("_dmarc", Kind::Txt, value, DMARC);
        let elsewhere = setup
            .reports
            .map(|r| r.domain().as_str())
            .filter(|other| !is_related(self.domain, other));
        // RFC 7489 §7.1: nobody may have reports sent to others without consent.
        if let Some(other) = elsewhere {
            self.records.push(Record {
                name: format!("{}._report._dmarc.{other}", self.domain),
                kind: Kind::Txt,
                value: "v=DMARC1".into(),
                purpose: DMARC_CONSENT,
            });
        }
    }

    fn services(&mut self, hosts: &[DomainName]) {
        for (service, priority, port, purpose) in SERVICES {
            for host in hosts {
                let value = format!("{priority} 1 {port} {host}.");
                self.add(service, Kind::Srv, value, purpose);
            }
        }
        if let Some(host) = hosts.first() {
            self.add("autoconfig", Kind::Cname, format!("{host}."), AUTOCONFIG);
        }
    }
}

/// Whether one is the other or lies in it: they share an organization then.
fn is_related(one: &str, other: &str) -> bool {
    let below = |inner: &str, outer: &str| {
        let rest = inner.strip_suffix(outer);
        rest.is_some_and(|r| r.is_empty() || r.ends_with('.'))
    };
    below(one, other) || below(other, one)
}

/// `address` as a URI (RFC 6068 §2). RFC 7489 §6.2 gives `,` and `!` a meaning, and
/// a `;` would end the tag.
fn mailto(address: &Address) -> String {
    let mut out = String::from("mailto:");
    for byte in address.to_string().bytes() {
        match byte {
            b'@' | b'.' | b'-' | b'_' | b'~' | b'+' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests;
