//! EHLO, LHLO and HELO (RFC 5321 §4.1.1.1, RFC 2033 §4.1).

use std::fmt::Write as _;

use postrider_proto::smtp::Reply;

use super::{End, Greeting, Session};

impl Session<'_> {
    /// EHLO or LHLO: resets the transaction and tells the extensions.
    pub(super) fn ehlo(&mut self, name: &str) -> Result<(), End> {
        self.greet(name, true);
        let settings = &self.server.settings;
        let mut text = format!("{} greets you\nPIPELINING\n", settings.hostname);
        let _ = write!(
            text,
            "SIZE {}\n8BITMIME\nSMTPUTF8\n",
            settings.max_message_size
        );
        if self.offers_tls() {
            text.push_str("STARTTLS\n");
        }
        // RFC 8689 §2: over TLS alone.
        if self.connection.is_tls() {
            text.push_str("REQUIRETLS\n");
        }
        if self.offers_login() {
            text.push_str("AUTH PLAIN LOGIN\n");
        }
        // Who promises notices must be able to send them (RFC 3461 §5.2).
        if self.server.handles.outbound.is_some() {
            text.push_str("DSN\n");
        }
        text.push_str("CHUNKING\nENHANCEDSTATUSCODES");
        self.answer(&Reply::plain(250, text))
    }

    /// HELO: resets the transaction.
    pub(super) fn helo(&mut self, name: &str) -> Result<(), End> {
        self.greet(name, false);
        let text = format!("{} greets you", self.server.settings.hostname);
        self.answer(&Reply::plain(250, text))
    }

    fn greet(&mut self, name: &str, extended: bool) {
        // RFC 5321 §4.1.4: as if RSET had been given.
        self.transaction = None;
        self.greeting = Some(Greeting {
            name: name.into(),
            extended,
        });
    }

    /// Whether STARTTLS can be used now.
    pub(super) fn offers_tls(&self) -> bool {
        self.server.handles.tls.is_some() && !self.connection.is_tls()
    }

    /// Whether AUTH can be used now.
    pub(super) fn offers_login(&self) -> bool {
        let plain = self.server.settings.plain_login_from_loopback && self.connection.is_loopback();
        self.role().is_submission() && (self.connection.is_tls() || plain)
    }
}
