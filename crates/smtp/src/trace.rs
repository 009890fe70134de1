//! The header fields that a delivery adds before the message: Return-Path,
//! Delivered-To, Received (RFC 5321 §4.4).

use std::fmt::Write as _;
use std::net::IpAddr;

use postrider_message::date;
use postrider_net::TlsInfo;
use postrider_proto::smtp::Host;
use postrider_types::{BodyId, Millis};

/// What a Received field tells about one message.
#[derive(Debug)]
pub(crate) struct Trace<'a> {
    /// What the client called itself.
    pub(crate) client: &'a str,
    pub(crate) peer: IpAddr,
    pub(crate) hostname: &'a str,
    pub(crate) lmtp: bool,
    /// It said EHLO, not HELO.
    pub(crate) extended: bool,
    pub(crate) utf8: bool,
    pub(crate) authenticated: bool,
    pub(crate) tls: Option<TlsInfo>,
    pub(crate) id: BodyId,
    /// The recipient, where there is only one: others must not see each other.
    pub(crate) only_recipient: Option<String>,
    pub(crate) received: Millis,
}

impl Trace<'_> {
    /// The protocol's registered name (RFC 3848, RFC 6531 §4.3).
    fn protocol(&self) -> String {
        let base = match (self.lmtp, self.extended) {
            (true, _) => "LMTP",
            (false, true) => "ESMTP",
            (false, false) => return "SMTP".into(),
        };
        // RFC 6531 §4.3: UTF8SMTP, not UTF8ESMTP.
        let base = match (self.utf8, self.lmtp) {
            (false, _) => base,
            (true, true) => "UTF8LMTP",
            (true, false) => "UTF8SMTP",
        };
        let tls = if self.tls.is_some() { "S" } else { "" };
        let auth = if self.authenticated { "A" } else { "" };
        format!("{base}{tls}{auth}")
    }

    /// The Received field with its CRLF.
    pub(crate) fn received(&self) -> String {
        let mut out = String::with_capacity(320);
        let ip = Host::Literal(self.peer);
        // Writing to a String cannot fail.
        let _ = write!(out, "Received: from {} ({ip})\r\n", harmless(self.client));
        let _ = write!(
            out,
            "\tby {} with {} id {}",
            self.hostname,
            self.protocol(),
            self.id
        );
        if let Some(recipient) = &self.only_recipient {
            let _ = write!(out, "\r\n\tfor <{recipient}>");
        }
        if let Some(tls) = &self.tls {
            // RFC 8314 §4.3: the tls clause names the cipher suite.
            let _ = write!(out, "\r\n\ttls {}", tls.cipher);
        }
        let _ = write!(out, ";\r\n\t{}\r\n", date::format(self.received, 0));
        out
    }
}

/// The most characters of a client's name that are kept: a domain's (RFC 5321
/// §4.5.3.1.2), and short enough for one line (RFC 5322 §2.1.1).
const MAX_CLIENT_NAME: usize = 255;

/// What a client calls itself, without anything that would end the word or
/// begin a comment. Never empty, at most [`MAX_CLIENT_NAME`] characters.
fn harmless(name: &str) -> String {
    let safe = |c: char| c.is_alphanumeric() || "-._:[]%+=/".contains(c);
    let name: String = name
        .chars()
        .take(MAX_CLIENT_NAME)
        .map(|c| if safe(c) { c } else { '?' })
        .collect();
    if name.is_empty() {
        "unknown".into()
    } else {
        name
    }
}

/// Return-Path and Delivered-To with their CRLFs.
pub(crate) fn return_path(sender: &str, delivered_to: &str) -> String {
    format!("Return-Path: <{sender}>\r\nDelivered-To: {delivered_to}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> Trace<'static> {
        Trace {
            client: "mx.example.org",
            peer: IpAddr::from([192, 0, 2, 1]),
            hostname: "mail.example.test",
            lmtp: false,
            extended: true,
            utf8: false,
            authenticated: false,
            tls: None,
            id: BodyId::from_bytes([0x11; 16]),
            only_recipient: Some("ann@example.test".into()),
            received: Millis::from_seconds(1_700_000_000),
        }
    }

    #[test]
    fn received_tells_all() {
        assert_eq!(
            trace().received(),
            "Received: from mx.example.org ([192.0.2.1])\r\n\
             \tby mail.example.test with ESMTP id 11111111111111111111111111111111\r\n\
             \tfor <ann@example.test>;\r\n\
             \tTue, 14 Nov 2023 22:13:20 +0000\r\n"
        );
        let tls = TlsInfo {
            version: "TLSv1_3",
            cipher: "TLS13_AES_256_GCM_SHA384",
        };
        let text = Trace {
            tls: Some(tls),
            only_recipient: None,
            ..trace()
        }
        .received();
        assert!(text.contains("with ESMTPS id"), "{text}");
        assert!(
            text.contains("\r\n\ttls TLS13_AES_256_GCM_SHA384;\r\n"),
            "{text}"
        );
        assert!(!text.contains("for"), "{text}");
    }

    #[test]
    fn protocols_have_their_registered_names() {
        let tls = Some(TlsInfo {
            version: "",
            cipher: "",
        });
        for (trace, name) in [
            (
                Trace {
                    extended: false,
                    ..trace()
                },
                "SMTP",
            ),
            (
                Trace {
                    tls,
                    authenticated: true,
                    ..trace()
                },
                "ESMTPSA",
            ),
            (
                Trace {
                    authenticated: true,
                    ..trace()
                },
                "ESMTPA",
            ),
            (
                Trace {
                    lmtp: true,
                    ..trace()
                },
                "LMTP",
            ),
            (
                Trace {
                    lmtp: true,
                    utf8: true,
                    tls,
                    ..trace()
                },
                "UTF8LMTPS",
            ),
            (
                Trace {
                    utf8: true,
                    tls,
                    authenticated: true,
                    ..trace()
                },
                "UTF8SMTPSA",
            ),
        ] {
            assert_eq!(trace.protocol(), name);
        }
    }

    #[test]
    fn a_hostile_name_adds_nothing() {
        let text = Trace {
            client: "x);(evil <a@b>",
            ..trace()
        }
        .received();
        assert!(
            text.starts_with("Received: from x???evil??a?b? ([192.0.2.1])\r\n"),
            "{text}"
        );
    }
}
