//! [`Signer`]: reads a message once, in pieces of any size, and gives the
//! DKIM-Signature fields that go before it, one for each key.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postrider_types::{Address, DomainName, Millis};

use crate::body::BodyHash;
use crate::field::{Field, quoted};
use crate::header::SignedHeader;
use crate::{Error, SelectedKey};

/// Signs one message with c=relaxed/relaxed. Holds the fields of the header that
/// are signed, up to [`crate::MAX_SIGNED_HEADER`] bytes, and of the body its hash.
///
/// From, To, Cc, Subject, Date, Message-ID, Reply-To, In-Reply-To, References and
/// the MIME fields are signed once more than they are there, so that none can be
/// added; Sender, Resent-* and List-* as often as they are there.
///
/// Lines may end in CRLF or LF alone: both are signed as CRLF, which is what must
/// be sent. A carriage return without a line feed is signed as it is.
pub struct Signer {
    domain: DomainName,
    keys: Vec<SelectedKey>,
    now: Millis,
    expires: Option<Millis>,
    identity: Option<String>,
    header: SignedHeader,
    body: BodyHash,
}

impl Signer {
    /// A signer at the start of a message that `domain` signs at `now`, once with
    /// each of `keys`.
    pub fn new(domain: DomainName, keys: &[SelectedKey], now: Millis) -> Self {
        Self {
            domain,
            keys: keys.to_vec(),
            now,
            expires: None,
            identity: None,
            header: SignedHeader::new(),
            body: BodyHash::new(),
        }
    }

    /// Lets the signatures expire `span` after now (the tag x=); at least a second.
    /// Without it they never do.
    pub fn expires_after(mut self, span: Duration) -> Self {
        self.expires = Some(self.now.after(span.max(Duration::from_secs(1))));
        self
    }

    /// Names whom the domain signs for (the tag i=): an address in it or in a
    /// domain below it.
    pub fn on_behalf_of(mut self, identity: &Address) -> Result<Self, Error> {
        let domain = self.domain.as_str();
        let inside = identity
            .domain()
            .as_str()
            .strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if !inside {
            return Err(Error::Identity {
                identity: identity.to_string(),
                domain: domain.into(),
            });
        }
        self.identity = Some(quoted(identity));
        Ok(self)
    }

    /// Reads the next bytes of the message, header and body. How it is cut into
    /// pieces makes no difference.
    pub fn update(&mut self, piece: &[u8]) {
        let body = self.header.update(piece);
        self.body.update(body);
    }

    /// The header fields to put before the message, each with its CRLF; nothing
    /// where there are no keys.
    pub fn finish(mut self) -> Result<Vec<u8>, Error> {
        if !self.header.finish() {
            return Err(Error::Header);
        }
        let body = std::mem::replace(&mut self.body, BodyHash::new());
        let body_hash = STANDARD.encode(body.finish());
        let mut hash = Context::new(&SHA256);
        self.header.hash(&mut hash);
        let mut out = Vec::new();
        for key in &self.keys {
            let mut field = self.field(key, &body_hash);
            let mut hash = hash.clone();
            hash.update(&field.begin_signature());
            let signature = key.key().sign(&hash.finish())?;
            out.extend_from_slice(field.finish(&signature).as_bytes());
        }
        Ok(out)
    }

    /// The field for `key` without its signature.
    fn field(&self, key: &SelectedKey, body_hash: &str) -> Field {
        let mut field = Field::new("DKIM-Signature");
        field.tag("v", "1");
        field.tag("a", key.key().algorithm().signature_name());
        field.tag("c", "relaxed/relaxed");
        field.tag("d", self.domain.as_str());
        field.tag("s", key.selector());
        field.tag("t", &self.now.seconds().to_string());
        if let Some(expires) = self.expires {
            field.tag("x", &expires.seconds().to_string());
        }
        if let Some(identity) = &self.identity {
            field.tag("i", identity);
        }
        field.names(self.header.names());
        field.tag("bh", body_hash);
        field
    }
}
