//! The key codec: tuples as bytes whose order is the order of the tuples.
//! Numbers are big-endian, strings end in `00 01` with each inner `00` written
//! as `00 FF`, so that no string's encoding is the beginning of another's.

/// Builds a key part by part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// An empty key with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Appends one byte, usually a table's tag.
    #[must_use]
    pub fn u8(mut self, part: u8) -> Self {
        self.0.push(part);
        self
    }

    /// Appends a number.
    #[must_use]
    pub fn u32(mut self, part: u32) -> Self {
        self.0.extend_from_slice(&part.to_be_bytes());
        self
    }

    /// Appends a number.
    #[must_use]
    pub fn u64(mut self, part: u64) -> Self {
        self.0.extend_from_slice(&part.to_be_bytes());
        self
    }

    /// Appends an id of 16 bytes.
    #[must_use]
    pub fn id(mut self, part: &[u8; 16]) -> Self {
        self.0.extend_from_slice(part);
        self
    }

    /// Appends a string.
    #[must_use]
    pub fn str(mut self, part: &str) -> Self {
        for byte in part.bytes() {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(0xff);
            }
        }
        self.0.extend_from_slice(&[0, 1]);
        self
    }

    /// Appends the beginning of a string without its end: the prefix of all
    /// keys whose string begins so.
    #[must_use]
    pub fn str_prefix(self, part: &str) -> Self {
        let mut key = self.str(part).0;
        key.truncate(key.len() - 2);
        Self(key)
    }

    /// The key.
    pub fn build(self) -> Vec<u8> {
        self.0
    }
}

/// Reads a key part by part. Each method is None where the key does not hold
/// such a part.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    /// The parts of `key`.
    pub fn of(key: &'a [u8]) -> Self {
        Self(key)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next number.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// The next number.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// The next id of 16 bytes.
    pub fn id(&mut self) -> Option<[u8; 16]> {
        self.array()
    }

    /// The next string.
    pub fn str(&mut self) -> Option<String> {
        let mut text = Vec::new();
        let mut bytes = self.0;
        loop {
            let zero = bytes.iter().position(|&b| b == 0)?;
            text.extend_from_slice(bytes.get(..zero)?);
            match bytes.get(zero + 1)? {
                0xff => text.push(0),
                1 => {
                    self.0 = bytes.get(zero + 2..)?;
                    return String::from_utf8(text).ok();
                }
                _ => return None,
            }
            bytes = bytes.get(zero + 2..)?;
        }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The smallest key above all keys that begin with `prefix`: the end of the
/// prefix's range. A prefix of `FF` bytes alone (or none) has no such key; the
/// codec makes none, and the answer is a key above all that it makes.
pub fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0xff; 64]
}

/// `key` as text for messages: printable ASCII as it is, the rest as `\xNN`.
pub fn escape(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_sort_as_their_tuples_and_read_back(
            a in (any::<String>(), any::<u64>(), any::<u32>()),
            b in (any::<String>(), any::<u64>(), any::<u32>()),
        ) {
            let encode = |t: &(String, u64, u32)| Key::default().str(&t.0).u64(t.1).u32(t.2).build();
            prop_assert_eq!(encode(&a).cmp(&encode(&b)), a.cmp(&b));
            let key = encode(&a);
            let mut parts = Parts::of(&key);
            prop_assert_eq!((parts.str(), parts.u64(), parts.u32()), (Some(a.0), Some(a.1), Some(a.2)));
            prop_assert!(parts.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in any::<Vec<u8>>()) {
            let _ = Parts::of(&bytes).str();
            let _ = Parts::of(&bytes).u64();
            prop_assert!(successor(&bytes) > bytes || bytes.iter().all(|&b| b == 0xff));
        }
    }

    #[test]
    fn a_prefix_range_holds_exactly_its_keys() {
        let prefix = Key::default().u8(b't').str_prefix("a").build();
        let end = successor(&prefix);
        let within = |s: &str| {
            let key = Key::default().u8(b't').str(s).build();
            key >= prefix && key < end
        };
        assert!(within("a") && within("a/b") && within("ab") && within("a\0"));
        assert!(!within("b") && !within("A"));
    }
}
