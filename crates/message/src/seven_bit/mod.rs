//! From 8-bit to 7-bit (RFC 6152 §3): for peers that do not offer 8BITMIME.
//!
//! A message is read twice, both times from its first byte to its last in pieces
//! of any size. The [`Survey`] sees which parts have octets above 127 and whether
//! the message can be converted at all, before the peer gets its first byte; the
//! [`Converter`] then rewrites the pieces of the second reading. Neither holds
//! more than the start of a line and a few words for each part.
//!
//! Text becomes quoted-printable, everything else base64, and the labels of the
//! parts around it `7bit`. What cannot be converted is a message with such octets
//! in a header, or below a signature, which conversion would break. For the same
//! reason a message is signed after its conversion.

mod converter;
mod plan;
mod survey;

pub use converter::Converter;
pub use plan::Plan;
pub use survey::Survey;

/// Why a message cannot be sent in 7 bits: it goes back to its sender with 5.6.3
/// (RFC 6152 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotConvertible {
    /// Octets above 127 in a header: no encoding is defined for those.
    #[error("a header field is not plain ASCII, which the next server does not accept")]
    Header,
    /// Octets above 127 in a part of multipart/signed.
    #[error("the message is signed and not plain ASCII, which the next server does not accept")]
    Signed,
    /// Octets above 127 in a part whose structure or encoding is not known, or that
    /// may not be encoded.
    #[error(
        "a part of the message cannot be encoded for the next server, which accepts ASCII alone"
    )]
    Structure,
}

/// Whether a message with this piece in it needs 8BITMIME: it has an octet above 127.
pub fn needs_eight_bit(piece: &[u8]) -> bool {
    !piece.is_ascii()
}

#[cfg(test)]
mod tests;
