//! BODY and BODYSTRUCTURE (RFC 3501 §7.4.2).

use super::envelope::{self, Envelope};
use super::text;

/// Content-Disposition.
#[derive(Clone, Copy, Debug)]
pub struct Disposition<'a, P> {
    /// `attachment`, `inline`, ...
    pub kind: &'a [u8],
    /// Its parameters.
    pub params: P,
}

/// One part of a message, as a session shows it to the writer. Implement it for
/// a small `Copy` wrapper around a borrowed part.
pub trait Part: Sized {
    /// The envelope of a message/rfc822 part.
    type Envelope: Envelope;

    /// The media type, such as `text`.
    fn media_type(&self) -> &[u8];
    /// The subtype, such as `plain`.
    fn subtype(&self) -> &[u8];
    /// Parameters of the media type: names and decoded values.
    fn params(&self) -> impl Iterator<Item = (&[u8], &[u8])>;
    /// `Content-ID`
    fn id(&self) -> Option<&[u8]>;
    /// `Content-Description`
    fn description(&self) -> Option<&[u8]>;
    /// `Content-Transfer-Encoding`; None stands for 7BIT.
    fn encoding(&self) -> Option<&[u8]>;
    /// The body's length in bytes, still encoded.
    fn octets(&self) -> u64;
    /// The body's length in lines, still encoded.
    fn lines(&self) -> u64;
    /// `Content-MD5`
    fn md5(&self) -> Option<&[u8]>;
    /// `Content-Disposition`
    fn disposition(&self) -> Option<Disposition<'_, impl Iterator<Item = (&[u8], &[u8])>>>;
    /// `Content-Language`
    fn languages(&self) -> impl Iterator<Item = &[u8]>;
    /// `Content-Location`
    fn location(&self) -> Option<&[u8]>;
    /// The parts of a multipart; none for any other.
    fn children(&self) -> impl Iterator<Item = Self>;
    /// The envelope and the structure of the message in a message/rfc822 part.
    fn message(&self) -> Option<(Self::Envelope, Self)>;
}

/// The deepest nesting that is told; parts below appear as opaque bytes.
const MAX_DEPTH: usize = 128;

pub(super) fn write(out: &mut Vec<u8>, part: &impl Part, extended: bool) {
    write_part(out, part, extended, MAX_DEPTH);
}

fn write_part<P: Part>(out: &mut Vec<u8>, part: &P, extended: bool, depth: usize) {
    out.push(b'(');
    let mut parts = false;
    if depth > 0 {
        for child in part.children() {
            parts = true;
            write_part(out, &child, extended, depth - 1);
        }
    }
    if parts {
        out.push(b' ');
        text::string(out, part.subtype());
        if extended {
            out.push(b' ');
            params(out, part.params());
        }
    } else {
        write_single(out, part, extended, depth);
        if extended {
            out.push(b' ');
            text::nstring(out, part.md5());
        }
    }
    if extended {
        write_extension(out, part);
    }
    out.push(b')');
}

/// body-type-basic, -msg and -text (RFC 3501 §9). A multipart without parts,
/// which the grammar does not know, is told as opaque bytes.
fn write_single<P: Part>(out: &mut Vec<u8>, part: &P, extended: bool, depth: usize) {
    let message = if depth > 0 { part.message() } else { None };
    let is = |media_type: &[u8]| part.media_type().eq_ignore_ascii_case(media_type);
    let opaque = is(b"multipart") || (message.is_none() && is_rfc822(part));
    if opaque {
        out.extend_from_slice(b"\"application\" \"octet-stream\"");
    } else {
        text::string(out, part.media_type());
        out.push(b' ');
        text::string(out, part.subtype());
    }
    out.push(b' ');
    params(out, part.params());
    out.push(b' ');
    text::nstring(out, part.id());
    out.push(b' ');
    text::nstring(out, part.description());
    out.push(b' ');
    // RFC 2045 §6.1: the default.
    text::string(out, part.encoding().unwrap_or(b"7BIT"));
    out.push(b' ');
    text::number(out, part.octets());
    if let Some((header, structure)) = message {
        out.push(b' ');
        envelope::write(out, &header);
        out.push(b' ');
        write_part(out, &structure, extended, depth - 1);
        out.push(b' ');
        text::number(out, part.lines());
    } else if !opaque && is(b"text") {
        out.push(b' ');
        text::number(out, part.lines());
    }
}

fn is_rfc822(part: &impl Part) -> bool {
    part.media_type().eq_ignore_ascii_case(b"message")
        && part.subtype().eq_ignore_ascii_case(b"rfc822")
}

/// Disposition, language and location: the same for all kinds of parts.
fn write_extension(out: &mut Vec<u8>, part: &impl Part) {
    out.push(b' ');
    match part.disposition() {
        Some(disposition) => {
            out.push(b'(');
            text::string(out, disposition.kind);
            out.push(b' ');
            params(out, disposition.params);
            out.push(b')');
        }
        None => out.extend_from_slice(b"NIL"),
    }
    out.push(b' ');
    let mut open = false;
    for language in part.languages() {
        out.push(if open { b' ' } else { b'(' });
        open = true;
        text::string(out, language);
    }
    out.extend_from_slice(if open { b")" } else { b"NIL" });
    out.push(b' ');
    text::nstring(out, part.location());
}

fn params<'a>(out: &mut Vec<u8>, params: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    let mut open = false;
    for (name, value) in params {
        out.push(if open { b' ' } else { b'(' });
        open = true;
        text::string(out, name);
        out.push(b' ');
        text::string(out, value);
    }
    out.extend_from_slice(if open { b")" } else { b"NIL" });
}
