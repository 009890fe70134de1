//! The last part of a notice: the message's header (RFC 6522 §4, RFC 6533 §6), or
//! the start of the part that holds the message.

use super::{Notice, Returned};
use crate::encode::encode;
use crate::header;
use crate::transfer::TransferEncoding;

/// The most bytes of a header that are returned: whole fields up to there.
pub const MAX_RETURNED_HEADER: usize = 64 * 1024;
/// The longest line of mail without its end (RFC 5322 §2.1.1).
const MAX_LINE: usize = 998;

/// The part's header and what of its body is at hand, without the delimiters.
pub(super) fn part(notice: &Notice<'_>, smtp_utf8: bool) -> Vec<u8> {
    match notice.returned {
        Returned::Message { eight_bit } => {
            // RFC 6532 §3.7: only message/global has a header with UTF-8.
            let kind = match smtp_utf8 && notice.has_utf8_header() {
                true => "global",
                false => "rfc822",
            };
            let encoding = if eight_bit { "8bit" } else { "7bit" };
            format!("Content-Type: message/{kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n")
                .into_bytes()
        }
        Returned::Header => returned_header(notice.header, smtp_utf8),
    }
}

fn returned_header(raw: &[u8], smtp_utf8: bool) -> Vec<u8> {
    let fields = fields(raw);
    let utf8 = !fields.is_ascii() && std::str::from_utf8(&fields).is_ok();
    let global = smtp_utf8 && utf8;
    let kind = match global {
        true => "message/global-headers",
        false => "text/rfc822-headers",
    };
    let (encoding, body) = if !is_clean(&fields) || (!fields.is_ascii() && !global) {
        let body = encode(TransferEncoding::QuotedPrintable, &fields);
        ("quoted-printable", body)
    } else if global {
        ("8bit", fields)
    } else {
        ("7bit", fields)
    };
    let charset = match utf8 && !global {
        true => "; charset=utf-8",
        false => "",
    };
    let header =
        format!("Content-Type: {kind}{charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
    [header.as_bytes(), &body].concat()
}

/// The fields of `raw` that have room, with CRLF line ends.
fn fields(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len().min(MAX_RETURNED_HEADER));
    for field in header::fields(raw) {
        if out.len() + field.raw.len() > MAX_RETURNED_HEADER {
            break;
        }
        for line in field.raw.split_inclusive(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

/// Whether the lines can be sent as they are.
fn is_clean(fields: &[u8]) -> bool {
    fields.split(|b| *b == b'\n').all(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.len() <= MAX_LINE && !line.iter().any(|b| matches!(b, b'\r' | b'\0'))
    })
}
