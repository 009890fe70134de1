//! The text of a DKIM-Signature field (RFC 6376 §3.5), or one of ARC in the same
//! form (RFC 8617 §4.1), folded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postrider_types::Address;

use crate::header::relaxed;

/// The length that a line is folded at (RFC 5322 §2.1.1 recommends 78).
const WIDTH: usize = 76;

/// A field of tags with a signature that is being written.
pub(crate) struct Field {
    name: &'static str,
    text: String,
    /// Characters in the current line.
    column: usize,
}

impl Field {
    pub(crate) fn new(name: &'static str) -> Self {
        let text = format!("{name}:");
        let column = text.len();
        Self { name, text, column }
    }

    /// Adds the tag `name=value`.
    pub(crate) fn tag(&mut self, name: &str, value: &str) {
        let length = name.len() + value.len() + 2;
        self.space(length);
        self.put(&format!("{name}={value};"));
    }

    /// Adds the tag h=.
    pub(crate) fn names(&mut self, names: impl Iterator<Item = &'static str>) {
        self.fold();
        self.put("h=");
        for (index, name) in names.enumerate() {
            if index > 0 {
                self.put(":");
            }
            if self.column + name.len() + 1 > WIDTH {
                self.fold();
            }
            self.put(name);
        }
        self.put(";");
    }

    /// Begins the tag b=, the last one, and gives what its signature covers of
    /// this field: all, with nothing in b= and no line end (RFC 6376 §3.7).
    pub(crate) fn begin_signature(&mut self) -> Vec<u8> {
        self.fold();
        self.put("b=");
        canonical(self.name, &self.text.as_bytes()[self.name.len() + 1..])
    }

    /// The whole field with its line end.
    pub(crate) fn finish(mut self, signature: &[u8]) -> String {
        let mut encoded = STANDARD.encode(signature);
        while !encoded.is_empty() {
            if self.column >= WIDTH {
                self.fold();
            }
            let rest = encoded.split_off(encoded.len().min(WIDTH - self.column));
            self.put(&encoded);
            encoded = rest;
        }
        self.text.push_str("\r\n");
        self.text
    }

    fn put(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.len();
    }

    /// A space, or a fold where `length` characters have no room.
    fn space(&mut self, length: usize) {
        if self.column + 1 + length > WIDTH {
            self.fold();
        } else {
            self.put(" ");
        }
    }

    fn fold(&mut self) {
        self.text.push_str("\r\n\t");
        self.column = 1;
    }
}

/// A field in relaxed canonicalization without a line end (RFC 6376 §3.4.2).
pub(crate) fn canonical(name: &str, value: &[u8]) -> Vec<u8> {
    let name = name.to_ascii_lowercase();
    [name.as_bytes(), b":", &relaxed(value)].concat()
}

/// `identity` for the tag i=, in DKIM-Quoted-Printable (RFC 6376 §2.11).
pub(crate) fn quoted(identity: &Address) -> String {
    let mut out = String::new();
    for byte in identity.to_string().bytes() {
        match byte {
            b'!'..=b'~' if byte != b'=' && byte != b';' => out.push(char::from(byte)),
            _ => out.push_str(&format!("={byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_folded() {
        let mut field = Field::new("DKIM-Signature");
        field.tag("v", "1");
        field.tag("d", &"x".repeat(100));
        field.tag("s", "y");
        field.names(std::iter::repeat_n("content-transfer-encoding", 5));
        let covered = field.begin_signature();
        let text = field.finish(&[0; 256]);
        assert!(
            text.starts_with("DKIM-Signature: v=1;\r\n\td=xxx"),
            "{text}"
        );
        assert!(text.ends_with("A==\r\n"), "{text}");
        let long = |l: &&str| l.len() > WIDTH;
        assert_eq!(text.lines().filter(long).count(), 1, "{text}");
        assert!(
            !text
                .lines()
                .skip(1)
                .any(|l| !l.starts_with('\t') || l.len() < 3)
        );
        let covered = String::from_utf8(covered).unwrap();
        assert!(covered.starts_with("dkim-signature:v=1; d=x"), "{covered}");
        assert!(covered.ends_with("encoding; b="), "{covered}");
    }

    #[test]
    fn identities_are_quoted() {
        for (identity, want) in [
            ("ann+x@example.org", "ann+x@example.org"),
            ("a=;b@example.org", "a=3D=3Bb@example.org"),
            ("jürgen@example.org", "j=C3=BCrgen@example.org"),
        ] {
            assert_eq!(quoted(&Address::parse(identity).unwrap()), want);
        }
    }
}
