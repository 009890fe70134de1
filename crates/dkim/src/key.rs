//! [`Key`]: a domain's private key, how it is made, kept and published. No
//! formatting of a key shows its private half.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::Digest;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postrider_types::DomainName;
use serde::{Deserialize, Serialize};

use crate::Error;

/// How a key signs. Both hash with SHA-256 (RFC 8301 §3.1 forbids SHA-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// RSA with PKCS #1 v1.5, made with 2048 bits: what every verifier knows.
    Rsa,
    /// Ed25519 (RFC 8463): short, fast, not known everywhere.
    Ed25519,
}

impl Algorithm {
    /// Its name in the tag a= of a signature.
    pub const fn signature_name(self) -> &'static str {
        match self {
            Self::Rsa => "rsa-sha256",
            Self::Ed25519 => "ed25519-sha256",
        }
    }

    /// Its name in the tag k= of a key's record.
    pub const fn key_name(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

enum Pair {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A private key with its public half.
pub struct Key {
    pair: Pair,
    public: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("algorithm", &self.algorithm())
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// Makes a new key. RSA takes a noticeable part of a second: keep it off
    /// threads that others wait for.
    pub fn generate(algorithm: Algorithm) -> Result<Self, Error> {
        let failed = |_| Error::Crypto("make a key");
        let pair = match algorithm {
            Algorithm::Rsa => Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?),
            Algorithm::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
        };
        Self::new(pair)
    }

    /// Reads a key in PKCS #8 (RFC 5958), DER. RSA below 2048 bits is refused
    /// (RFC 8301 §3.2).
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        let pair = match Ed25519KeyPair::from_pkcs8(der) {
            Ok(pair) => Pair::Ed25519(pair),
            Err(_) => {
                let rejected = |e: aws_lc_rs::error::KeyRejected| Error::Key(e.to_string());
                Pair::Rsa(RsaKeyPair::from_pkcs8(der).map_err(rejected)?)
            }
        };
        Self::new(pair)
    }

    /// The key in PKCS #8, DER. A secret: whoever has it signs as the domain.
    pub fn to_pkcs8(&self) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::Crypto("write a key");
        // Version 1 is what other tools read.
        let der: Pkcs8V1Der<'_> = match &self.pair {
            Pair::Rsa(pair) => pair.as_der().map_err(failed)?,
            Pair::Ed25519(pair) => pair.as_der().map_err(failed)?,
        };
        Ok(der.as_ref().to_vec())
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::Rsa(_) => Algorithm::Rsa,
            Pair::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// The public half as the tag p= of its record has it: base64 in one piece.
    pub fn public_key(&self) -> &str {
        &self.public
    }

    /// The whole text of its record (RFC 6376 §3.6.1).
    pub fn record(&self) -> String {
        format!(
            "v=DKIM1; k={}; p={}",
            self.algorithm().key_name(),
            self.public
        )
    }

    fn new(pair: Pair) -> Result<Self, Error> {
        let public = match &pair {
            // RFC 6376 §3.6.1 speaks of an RSAPublicKey; what its erratum 3017
            // says and everybody publishes is the SubjectPublicKeyInfo around it.
            Pair::Rsa(pair) => {
                let failed = |_| Error::Crypto("write a public key");
                let der: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
                STANDARD.encode(der.as_ref())
            }
            // RFC 8463 §4.2: the 32 bytes alone.
            Pair::Ed25519(pair) => STANDARD.encode(pair.public_key()),
        };
        Ok(Self { pair, public })
    }

    /// Signs what hashes to `digest`, which is SHA-256.
    pub(crate) fn sign(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::Crypto("sign a message");
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(&RSA_PKCS1_SHA256, digest, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
            // RFC 8463 §3: Ed25519 signs the hash as if it were the message.
            Pair::Ed25519(pair) => {
                let signature = pair.try_sign(digest.as_ref()).map_err(failed)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }
}

/// A key and the selector under which a domain publishes it.
#[derive(Clone, Debug)]
pub struct SelectedKey {
    selector: DomainName,
    key: Arc<Key>,
}

impl SelectedKey {
    /// `key` under `selector`: one or more labels of a domain name, such as `2025a`.
    pub fn new(selector: &str, key: Arc<Key>) -> Result<Self, Error> {
        match DomainName::parse(selector) {
            Ok(selector) => Ok(Self { selector, key }),
            Err(_) => Err(Error::Selector(selector.into())),
        }
    }

    /// The selector, in lower case.
    pub fn selector(&self) -> &str {
        self.selector.as_str()
    }

    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kept_and_read_again() {
        for algorithm in [Algorithm::Rsa, Algorithm::Ed25519] {
            let key = Key::generate(algorithm).unwrap();
            let der = key.to_pkcs8().unwrap();
            let again = Key::from_pkcs8(&der).unwrap();
            assert_eq!(again.algorithm(), algorithm);
            assert_eq!(again.record(), key.record());
            assert_eq!(again.to_pkcs8().unwrap(), der);
            let shown = format!("{key:?}");
            assert!(shown.contains(key.public_key()), "{shown}");
            // The last bytes of an Ed25519 key are its secret.
            let secret = STANDARD.encode(&der[der.len() - 30..]);
            assert!(!shown.contains(&secret) && shown.len() < 500, "{shown}");
        }
    }

    /// RFC 8463 §A.2: the key, and what p= says of it.
    #[test]
    fn a_known_key_has_its_known_record() {
        let seed = STANDARD
            .decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
            .unwrap();
        let prefix = [
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ];
        let key = Key::from_pkcs8(&[&prefix[..], &seed].concat()).unwrap();
        assert_eq!(
            key.record(),
            "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
        );
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(matches!(Key::from_pkcs8(b""), Err(Error::Key(_))));
        let mut der = Key::generate(Algorithm::Ed25519)
            .unwrap()
            .to_pkcs8()
            .unwrap();
        der.pop();
        assert!(matches!(Key::from_pkcs8(&der), Err(Error::Key(_))));
    }

    #[test]
    fn selectors_are_checked() {
        let key = Arc::new(Key::generate(Algorithm::Ed25519).unwrap());
        let selected = SelectedKey::new("2025.East", key.clone()).unwrap();
        assert_eq!(selected.selector(), "2025.east");
        for bad in ["", "a b", "a;b", ".a", "-a"] {
            let error = SelectedKey::new(bad, key.clone()).unwrap_err();
            assert_eq!(error, Error::Selector(bad.into()));
        }
    }
}
