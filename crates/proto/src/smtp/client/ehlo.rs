//! What a server's answer to EHLO offers (RFC 5321 §4.1.1.1).

use super::Reply;
use crate::sasl::Mechanism;

/// The extensions that a server offers, as far as a client here uses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// SIZE (RFC 1870): the most bytes of a message, 0 where no limit is told;
    /// None where the extension is not offered.
    pub size: Option<u64>,
    /// 8BITMIME (RFC 6152)
    pub eight_bit: bool,
    /// SMTPUTF8 (RFC 6531)
    pub smtp_utf8: bool,
    /// PIPELINING (RFC 2920)
    pub pipelining: bool,
    /// DSN (RFC 3461)
    pub dsn: bool,
    /// CHUNKING (RFC 3030)
    pub chunking: bool,
    /// BINARYMIME (RFC 3030)
    pub binary: bool,
    /// STARTTLS (RFC 3207)
    pub start_tls: bool,
    /// REQUIRETLS (RFC 8689)
    pub require_tls: bool,
    /// AUTH PLAIN (RFC 4954, RFC 4616)
    pub auth_plain: bool,
    /// AUTH LOGIN
    pub auth_login: bool,
}

impl Capabilities {
    /// Reads the positive reply to EHLO. Its first line is the server's name;
    /// keywords that are not known here are passed over.
    pub fn parse(reply: &Reply) -> Self {
        let mut found = Self::default();
        for line in reply.text.split('\n').skip(1) {
            found.take(line);
        }
        found
    }

    fn take(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next() else { return };
        match &*keyword.to_ascii_uppercase() {
            // RFC 1870 §4: without a number, or with 0, no limit is told. A
            // number that is none binds nobody.
            "SIZE" => self.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0)),
            "8BITMIME" => self.eight_bit = true,
            "SMTPUTF8" => self.smtp_utf8 = true,
            "PIPELINING" => self.pipelining = true,
            "DSN" => self.dsn = true,
            "CHUNKING" => self.chunking = true,
            "BINARYMIME" => self.binary = true,
            "STARTTLS" => self.start_tls = true,
            "REQUIRETLS" => self.require_tls = true,
            "AUTH" => words.for_each(|word| self.mechanism(word)),
            // The form of drafts before RFC 4954, which old servers still tell.
            keyword => {
                if let Some(first) = keyword.strip_prefix("AUTH=") {
                    self.mechanism(first);
                    words.for_each(|word| self.mechanism(word));
                }
            }
        }
    }

    fn mechanism(&mut self, name: &str) {
        match Mechanism::parse(name.as_bytes()) {
            Some(Mechanism::Plain) => self.auth_plain = true,
            Some(Mechanism::Login) => self.auth_login = true,
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Capabilities {
        Capabilities::parse(&Reply {
            code: 250,
            enhanced: None,
            text: text.into(),
        })
    }

    #[test]
    fn keywords_are_read_in_any_case() {
        let found = parse(
            "mx.example.org greets you\nSIZE 1000\n8bitmime\nSMTPUTF8\nPipelining\nDSN\nCHUNKING\n\
             BINARYMIME\nSTARTTLS\nREQUIRETLS\nAUTH CRAM-MD5 plain LOGIN\nXFOO bar\n\nHELP",
        );
        let all = Capabilities {
            size: Some(1000),
            eight_bit: true,
            smtp_utf8: true,
            pipelining: true,
            dsn: true,
            chunking: true,
            binary: true,
            start_tls: true,
            require_tls: true,
            auth_plain: true,
            auth_login: true,
        };
        assert_eq!(found, all);
        assert_eq!(parse("STARTTLS"), Capabilities::default(), "a name");
        assert!(parse("x\nAUTH=PLAIN LOGIN").auth_login);
        assert!(parse("x\nAUTH=PLAIN LOGIN").auth_plain);
    }

    #[test]
    fn a_size_without_a_limit_is_none() {
        for line in [
            "SIZE",
            "SIZE 0",
            "SIZE many",
            "SIZE 99999999999999999999999",
        ] {
            assert_eq!(parse(&format!("x\n{line}")).size, Some(0), "{line}");
        }
        assert_eq!(parse("x").size, None);
    }
}
