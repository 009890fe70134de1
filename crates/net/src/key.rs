//! [`Key`]: what a limit counts, as a digest that is the same on all nodes and in
//! all versions, so that nodes can tell each other about it.

use std::net::IpAddr;

use crate::address_key;

/// What is counted: a client's address or a login, as 64 bits of BLAKE3. That two
/// share one by accident costs one of them a refusal; 64 bits keep that off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64);

impl Key {
    /// A client at `address` (IPv6: its /64).
    pub fn address(address: IpAddr) -> Self {
        match address_key(address) {
            IpAddr::V4(v4) => Self::digest(b'4', &v4.octets()),
            IpAddr::V6(v6) => Self::digest(b'6', &v6.octets()),
        }
    }

    /// A text, in a form that equal things share.
    pub fn text(text: &str) -> Self {
        Self::digest(b't', text.as_bytes())
    }

    /// Both together, in this order.
    pub fn with(self, other: Self) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0.to_le_bytes());
        bytes[8..].copy_from_slice(&other.0.to_le_bytes());
        Self::digest(b'&', &bytes)
    }

    /// The digest, for the wire.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The key with this digest.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    fn digest(tag: u8, bytes: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[tag]).update(bytes);
        let mut bits = [0; 8];
        hasher.finalize_xof().fill(&mut bits);
        Self(u64::from_le_bytes(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Key {
        Key::address(text.parse().unwrap())
    }

    /// Other nodes may run another version: a change here needs other names of
    /// all limits.
    #[test]
    fn digests_are_the_same_for_ever() {
        let keys = [
            at("192.0.2.1"),
            at("2001:db8::1"),
            Key::text("ann@example.org"),
            at("192.0.2.1").with(Key::text("ann")),
        ];
        let digests = [
            10_771_818_156_482_974_405,
            1_861_455_223_205_919_307,
            8_496_637_070_119_185_566,
            7_815_727_030_319_635_439,
        ];
        assert_eq!(keys.map(Key::to_bits), digests);
    }

    #[test]
    fn what_differs_has_another_key() {
        assert_eq!(at("2001:db8::1"), at("2001:db8::2"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
        let (a, b) = (Key::text("a"), Key::text("b"));
        assert_ne!(a.with(b), b.with(a));
    }
}
