//! [`Error`]: why there is no key or no signature.

/// Why there is no key or no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a selector (RFC 6376 §3.1).
    #[error("`{0}` is no selector: use letters, digits, hyphens and dots, such as `2025a`")]
    Selector(String),
    /// Not a key that mail can be signed with.
    #[error(
        "the key is not usable ({0}): it must be PKCS #8 in DER, Ed25519 or RSA of 2048 to 8192 bits"
    )]
    Key(String),
    /// The identity lies in another domain (RFC 6376 §3.5, i=).
    #[error("the identity {identity} does not lie in the signing domain {domain}")]
    Identity {
        /// The identity that was asked for.
        identity: String,
        /// The domain that signs.
        domain: String,
    },
    /// The header has more to be signed than is held; the message can be sent
    /// without a signature.
    #[error(
        "the header fields to be signed are more than {max_fields} or {max_bytes} bytes",
        max_fields = crate::MAX_SIGNED_FIELDS,
        max_bytes = crate::MAX_SIGNED_HEADER
    )]
    Header,
    /// The cryptographic library failed.
    #[error("the cryptographic library could not {0}")]
    Crypto(&'static str),
}
