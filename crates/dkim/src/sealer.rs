//! [`Sealer`]: reads a message that is forwarded once, in pieces of any size, and
//! gives the ARC set that goes before it (RFC 8617 §5.1).

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postrider_types::{DomainName, Millis};

use crate::body::BodyHash;
use crate::field::{Field, canonical};
use crate::header::SignedHeader;
use crate::{Algorithm, Error, SelectedKey};

/// The most sets of a chain (RFC 8617 §4.2.1).
pub const MAX_INSTANCE: u32 = 50;

/// What is known of the sets that a message has when it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chain {
    /// There are none.
    None,
    /// They are valid. The fields, each in relaxed canonicalization with CRLF: of
    /// each set in ascending order its Authentication-Results, Message-Signature
    /// and Seal (RFC 8617 §5.1.1).
    Pass(Vec<u8>),
    /// They are not.
    Fail,
}

impl Chain {
    /// The chain of sets with these fields, name and value as they stand in the
    /// message, in the order of [`Chain::Pass`].
    pub fn pass<'a>(fields: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut covered = Vec::new();
        for (name, value) in fields {
            covered.extend_from_slice(&canonical(name, value));
            covered.extend_from_slice(b"\r\n");
        }
        Self::Pass(covered)
    }

    /// The word for it in the tag cv=.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass(_) => "pass",
            Self::Fail => "fail",
        }
    }
}

/// Seals one message with c=relaxed/relaxed. Holds what [`crate::Signer`] holds.
pub struct Sealer {
    domain: DomainName,
    key: SelectedKey,
    now: Millis,
    instance: u32,
    chain: Chain,
    results: String,
    header: SignedHeader,
    body: BodyHash,
}

impl Sealer {
    /// A sealer at the start of a message that `domain` forwards at `now`, with
    /// set number `instance`, 1 to [`MAX_INSTANCE`]. `results` is the value of
    /// Authentication-Results (RFC 8601 §2.2) without its line end, folded, in
    /// ASCII.
    ///
    /// None where the key is not RSA: RFC 8617 knows no other than rsa-sha256, and
    /// a seal that cannot be checked would make a good chain a failed one.
    pub fn new(
        domain: DomainName,
        key: SelectedKey,
        now: Millis,
        instance: u32,
        chain: Chain,
        results: String,
    ) -> Option<Self> {
        (key.key().algorithm() == Algorithm::Rsa).then(|| Self {
            domain,
            key,
            now,
            instance,
            chain,
            results,
            header: SignedHeader::with_signatures(),
            body: BodyHash::new(),
        })
    }

    /// Reads the next bytes of the message, header and body. How it is cut into
    /// pieces makes no difference.
    pub fn update(&mut self, piece: &[u8]) {
        let body = self.header.update(piece);
        self.body.update(body);
    }

    /// What became of the chain, as in the tag cv=.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The three fields to put before the message, each with its CRLF.
    pub fn finish(mut self) -> Result<Vec<u8>, Error> {
        if !self.header.finish() {
            return Err(Error::Header);
        }
        const RESULTS: &str = "ARC-Authentication-Results";
        let results = format!(" i={}; {}", self.instance, self.results);
        let signature = self.signature()?;
        let seal = self.seal(&[
            (RESULTS, results.as_bytes()),
            (SIGNATURE, value(&signature, SIGNATURE)),
        ])?;
        // The seal on top, as trace fields are prepended (RFC 8617 §4.1).
        Ok(format!("{seal}{signature}{RESULTS}:{results}\r\n").into_bytes())
    }

    /// ARC-Message-Signature (RFC 8617 §4.1.2): as a DKIM signature, without v=.
    fn signature(&mut self) -> Result<String, Error> {
        let body = std::mem::replace(&mut self.body, BodyHash::new());
        let mut field = self.field(SIGNATURE);
        field.tag("c", "relaxed/relaxed");
        field.names(self.header.names());
        field.tag("bh", &STANDARD.encode(body.finish()));
        let mut hash = Context::new(&SHA256);
        self.header.hash(&mut hash);
        hash.update(&field.begin_signature());
        let signature = self.key.key().sign(&hash.finish())?;
        Ok(field.finish(&signature))
    }

    /// ARC-Seal (RFC 8617 §4.1.3) over the sets before and the rest of this one.
    fn seal(&self, own: &[(&str, &[u8])]) -> Result<String, Error> {
        let mut field = self.field(SEAL);
        field.tag("cv", self.chain.as_str());
        let mut hash = Context::new(&SHA256);
        // RFC 8617 §5.1.2: over a failed chain, as if this set were the only one.
        if let Chain::Pass(before) = &self.chain {
            hash.update(before);
        }
        for (name, value) in own {
            hash.update(&canonical(name, value));
            hash.update(b"\r\n");
        }
        hash.update(&field.begin_signature());
        let signature = self.key.key().sign(&hash.finish())?;
        Ok(field.finish(&signature))
    }

    fn field(&self, name: &'static str) -> Field {
        let mut field = Field::new(name);
        field.tag("i", &self.instance.to_string());
        field.tag("a", self.key.key().algorithm().signature_name());
        field.tag("d", self.domain.as_str());
        field.tag("s", self.key.selector());
        field.tag("t", &self.now.seconds().to_string());
        field
    }
}

const SIGNATURE: &str = "ARC-Message-Signature";
const SEAL: &str = "ARC-Seal";

/// The value of a whole field.
fn value<'a>(field: &'a str, name: &str) -> &'a [u8] {
    &field.as_bytes()[name.len() + 1..]
}
