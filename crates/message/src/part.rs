//! The MIME structure of a message: a tree of [`Part`]s with their places in
//! the body, and the way from an IMAP section number to a part.

use std::ops::Range;

use bytes::Bytes;

use crate::Envelope;

/// A MIME entity: the message itself, a part of a multipart, or the message in a
/// `message/rfc822` part. Offsets count from the first byte of the body, the
/// header included; the row's prefix lies before it and is not counted.
///
/// A multipart always has at least one part: one that the message left empty gets
/// an empty `text/plain`. A multipart without a boundary shows as `text/plain`;
/// what cannot be looked into (nested too deep, a message in base64) as
/// `application/octet-stream`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Part {
    /// The media type as written, such as `text`. Never empty.
    #[prost(bytes = "bytes", tag = "1")]
    pub media_type: Bytes,
    /// The subtype as written, such as `plain`. Never empty.
    #[prost(bytes = "bytes", tag = "2")]
    pub subtype: Bytes,
    /// Content-Type's parameters as written: quotes undone, RFC 2231 names
    /// (`name*0*`) and encoded words left alone.
    #[prost(message, repeated, tag = "3")]
    pub params: Vec<Param>,
    /// Content-ID, with its angle brackets.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub id: Option<Bytes>,
    /// Content-Description.
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub description: Option<Bytes>,
    /// Content-Transfer-Encoding as written; None is `7bit`.
    #[prost(bytes = "bytes", optional, tag = "6")]
    pub encoding: Option<Bytes>,
    /// Lines of the body (IMAP shows them for text and messages).
    #[prost(uint64, tag = "7")]
    pub lines: u64,
    /// Content-MD5.
    #[prost(bytes = "bytes", optional, tag = "8")]
    pub md5: Option<Bytes>,
    /// Content-Disposition.
    #[prost(message, optional, tag = "9")]
    pub disposition: Option<Disposition>,
    /// Content-Language, one item per tag.
    #[prost(bytes = "bytes", repeated, tag = "10")]
    pub language: Vec<Bytes>,
    /// Content-Location.
    #[prost(bytes = "bytes", optional, tag = "11")]
    pub location: Option<Bytes>,
    /// Where its header begins.
    #[prost(uint64, tag = "12")]
    pub header_start: u64,
    /// Where its body begins: behind the header's empty line.
    #[prost(uint64, tag = "13")]
    pub body_start: u64,
    /// Behind its body's last byte. The line end before a boundary belongs to
    /// the boundary (RFC 2046 §5.1.1).
    #[prost(uint64, tag = "14")]
    pub body_end: u64,
    /// The envelope, of a message inside `message/rfc822`: on that part, not on
    /// the message in `parts`.
    #[prost(message, optional, tag = "15")]
    pub envelope: Option<Envelope>,
    /// A multipart's parts; of `message/rfc822` the one message in it.
    #[prost(message, repeated, tag = "16")]
    pub parts: Vec<Part>,
}

/// A parameter of Content-Type or Content-Disposition.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Param {
    /// Its name as written.
    #[prost(bytes = "bytes", tag = "1")]
    pub name: Bytes,
    /// Its value without quotes.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// Content-Disposition (RFC 2183).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Disposition {
    /// `attachment`, `inline`, ... as written.
    #[prost(bytes = "bytes", tag = "1")]
    pub kind: Bytes,
    /// Its parameters.
    #[prost(message, repeated, tag = "2")]
    pub params: Vec<Param>,
}

impl Part {
    /// Whether its media type is `media_type`/`subtype`, in any case.
    pub fn is(&self, media_type: &str, subtype: &str) -> bool {
        self.media_type.eq_ignore_ascii_case(media_type.as_bytes())
            && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// Whether it is a multipart.
    pub fn is_multipart(&self) -> bool {
        self.media_type.eq_ignore_ascii_case(b"multipart")
    }

    /// Whether it is text.
    pub fn is_text(&self) -> bool {
        self.media_type.eq_ignore_ascii_case(b"text")
    }

    /// The message in a `message/rfc822` or `message/global` part.
    pub fn message(&self) -> Option<&Part> {
        self.envelope.as_ref().and_then(|_| self.parts.first())
    }

    /// The first parameter of Content-Type with this name, in any case.
    pub fn param(&self, name: &str) -> Option<&Bytes> {
        let named = |p: &&Param| p.name.eq_ignore_ascii_case(name.as_bytes());
        self.params.iter().find(named).map(|p| &p.value)
    }

    /// Bytes of the body as it is encoded (the OCTETS of BODYSTRUCTURE).
    pub fn octets(&self) -> u64 {
        self.body_end.saturating_sub(self.body_start)
    }

    /// Where its header lies, the empty line included: `MIME`, and `HEADER` of a
    /// message.
    pub fn header(&self) -> Range<u64> {
        self.header_start..self.body_start
    }

    /// Where its body lies.
    pub fn body(&self) -> Range<u64> {
        self.body_start..self.body_end
    }

    /// The part with this section number, such as `[1, 2]` for `1.2`, seen from
    /// the message that this part is (RFC 9051 §6.4.5.1). Empty is the message
    /// itself. In a message that is no multipart, 1 is its body.
    ///
    /// `BODY[1.2]` is the [`Part::body`] of the part, `BODY[1.2.MIME]` its
    /// [`Part::header`]; `BODY[1.2.HEADER]` and `BODY[1.2.TEXT]` the header and
    /// the body of its [`Part::message`], nothing where it holds none.
    pub fn find(&self, section: &[u32]) -> Option<&Part> {
        let mut at = self;
        // What a number counts in: a multipart's parts, else the body alone.
        let mut container = Some(self);
        for &number in section {
            let index = usize::try_from(number).ok()?.checked_sub(1)?;
            let inside = container?;
            if inside.is_multipart() {
                at = inside.parts.get(index)?;
                container = Some(at)
                    .filter(|p| p.is_multipart())
                    .or_else(|| at.message());
            } else {
                if index > 0 {
                    return None;
                }
                at = inside;
                container = at.message();
            }
        }
        Some(at)
    }
}
