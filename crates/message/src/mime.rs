//! MIME header fields: `value; name=value; ...` (RFC 2045 §5.1, RFC 2183) and
//! the fields of an entity as they go into a [`Part`]. Values stay as written:
//! quotes and comments are undone, RFC 2231 and encoded words are not.

use bytes::Bytes;

use crate::header::{self, Field};
use crate::{Disposition, Param, Part};

/// The most parameters that are kept of one field.
const MAX_PARAMS: usize = 32;
/// The longest name or value that is kept; longer ones are dropped.
const MAX_VALUE: usize = 4096;
/// The most language tags that are kept.
const MAX_LANGUAGES: usize = 32;

/// Reads `name=value` pairs and what stands before them.
struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    /// Skips white space, line ends and comments (RFC 5322 §3.2.2).
    fn skip_space(&mut self) {
        loop {
            self.rest = self.rest.trim_ascii_start();
            if self.rest.first() != Some(&b'(') {
                return;
            }
            let mut depth = 0_usize;
            let mut at = 0;
            while let Some(&byte) = self.rest.get(at) {
                match byte {
                    b'\\' => at += 1,
                    b'(' => depth += 1,
                    b')' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    break;
                }
            }
            self.rest = self.rest.get(at..).unwrap_or_default();
        }
    }

    /// Takes bytes up to one of `ends`, white space or a comment.
    fn token(&mut self, ends: &[u8]) -> &'a [u8] {
        self.skip_space();
        let end = |b: &u8| ends.contains(b) || b.is_ascii_whitespace() || *b == b'(';
        let at = self.rest.iter().position(end).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(at);
        self.rest = rest;
        self.skip_space();
        token
    }

    /// Takes a quoted string or everything up to the next `;`.
    fn value(&mut self) -> Vec<u8> {
        self.skip_space();
        if self.rest.first() == Some(&b'"') {
            let (value, rest) = quoted(self.rest);
            self.rest = rest;
            return value;
        }
        // Unquoted values with spaces are common in file names: take them whole.
        let at = self
            .rest
            .iter()
            .position(|b| matches!(b, b';' | b'\r' | b'\n' | b'('))
            .unwrap_or(self.rest.len());
        let (value, rest) = self.rest.split_at(at);
        self.rest = rest;
        value.trim_ascii().to_vec()
    }

    /// Goes behind the next `;`; false where there is none.
    fn next_param(&mut self) -> bool {
        while let Some((&byte, rest)) = self.rest.split_first() {
            match byte {
                b';' => {
                    self.rest = rest;
                    return true;
                }
                b'"' => self.rest = quoted(self.rest).1,
                _ => self.rest = rest,
            }
        }
        false
    }

    fn params(&mut self) -> Vec<Param> {
        let mut params = Vec::new();
        while params.len() < MAX_PARAMS && self.next_param() {
            let name = self.token(b"=;\"");
            if self.rest.first() != Some(&b'=') {
                continue;
            }
            self.rest = &self.rest[1..];
            let value = self.value();
            if !name.is_empty() && name.len() <= MAX_VALUE && value.len() <= MAX_VALUE {
                params.push(Param {
                    name: Bytes::copy_from_slice(name),
                    value: value.into(),
                });
            }
        }
        params
    }
}

/// Undoes the quoted string at the start of `text` (RFC 5322 §3.2.4), and gives
/// what follows it. Line ends of folding are dropped.
pub(crate) fn quoted(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    let mut bytes = text.iter().enumerate().skip(1);
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b'"' => return (value, &text[at + 1..]),
            b'\\' => value.extend(bytes.next().map(|(_, b)| b)),
            b'\r' | b'\n' => {}
            _ => value.push(byte),
        }
    }
    (value, &[])
}

/// Fills the fields of `part` from the header block of its entity. Without a
/// Content-Type it becomes `default` (RFC 2045 §5.2, RFC 2046 §5.1.5).
pub(crate) fn read_entity(block: &[u8], default: (&'static str, &'static str), part: &mut Part) {
    let mut content_type = None;
    for field in header::fields(block) {
        let Some(name) = field
            .name
            .get(..8)
            .filter(|n| n.eq_ignore_ascii_case(b"content-"))
        else {
            continue;
        };
        let which = field.name[name.len()..].to_ascii_lowercase();
        match which.as_slice() {
            b"type" if content_type.is_none() => content_type = Some(field),
            b"transfer-encoding" if part.encoding.is_none() => {
                let token = Scanner { rest: field.value }.token(b";");
                part.encoding = bounded(token).filter(|t| !t.is_empty());
            }
            b"id" if part.id.is_none() => part.id = text(&field),
            b"description" if part.description.is_none() => part.description = text(&field),
            b"md5" if part.md5.is_none() => part.md5 = text(&field),
            b"location" if part.location.is_none() => part.location = text(&field),
            b"disposition" if part.disposition.is_none() => {
                part.disposition = read_disposition(field.value);
            }
            b"language" if part.language.is_empty() => part.language = read_languages(field.value),
            _ => {}
        }
    }
    let read = content_type.and_then(|f| read_content_type(f.value));
    match (read, content_type) {
        (Some((media_type, subtype, params)), _) => {
            part.media_type = media_type;
            part.subtype = subtype;
            part.params = params;
        }
        // RFC 2045 §5.2: a Content-Type that cannot be read means plain text.
        (None, Some(_)) => set_type(part, "text", "plain"),
        (None, None) => set_type(part, default.0, default.1),
    }
    if part.params.is_empty() && part.is("text", "plain") && content_type.is_none() {
        part.params.push(Param {
            name: Bytes::from_static(b"charset"),
            value: Bytes::from_static(b"us-ascii"),
        });
    }
}

/// Gives `part` another type and no parameters.
pub(crate) fn set_type(part: &mut Part, media_type: &'static str, subtype: &'static str) {
    part.media_type = Bytes::from_static(media_type.as_bytes());
    part.subtype = Bytes::from_static(subtype.as_bytes());
    part.params.clear();
}

fn bounded(value: &[u8]) -> Option<Bytes> {
    (value.len() <= MAX_VALUE).then(|| Bytes::copy_from_slice(value))
}

fn text(field: &Field<'_>) -> Option<Bytes> {
    bounded(&field.unfolded()).filter(|t| !t.is_empty())
}

fn read_content_type(value: &[u8]) -> Option<(Bytes, Bytes, Vec<Param>)> {
    let mut scanner = Scanner { rest: value };
    let media_type = scanner.token(b"/;\"=");
    if scanner.rest.first() != Some(&b'/') {
        return None;
    }
    scanner.rest = &scanner.rest[1..];
    let subtype = scanner.token(b"/;\"=");
    let graphic = |t: &[u8]| !t.is_empty() && t.len() <= 127 && t.iter().all(u8::is_ascii_graphic);
    if !graphic(media_type) || !graphic(subtype) {
        return None;
    }
    let params = scanner.params();
    Some((
        Bytes::copy_from_slice(media_type),
        Bytes::copy_from_slice(subtype),
        params,
    ))
}

fn read_disposition(value: &[u8]) -> Option<Disposition> {
    let mut scanner = Scanner { rest: value };
    let kind = bounded(scanner.token(b";\"="))?;
    if kind.is_empty() {
        return None;
    }
    Some(Disposition {
        kind,
        params: scanner.params(),
    })
}

fn read_languages(value: &[u8]) -> Vec<Bytes> {
    let mut scanner = Scanner { rest: value };
    let mut languages = Vec::new();
    while !scanner.rest.is_empty() && languages.len() < MAX_LANGUAGES {
        let tag = scanner.token(b",");
        languages.extend(bounded(tag).filter(|t| !t.is_empty()));
        scanner.rest = scanner.rest.strip_prefix(b",").unwrap_or(scanner.rest);
    }
    languages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(header: &str) -> Part {
        let mut part = Part::default();
        read_entity(header.as_bytes(), ("text", "plain"), &mut part);
        part
    }

    fn shown(part: &Part) -> String {
        let mut text = format!(
            "{}/{}",
            String::from_utf8_lossy(&part.media_type),
            String::from_utf8_lossy(&part.subtype)
        );
        for p in &part.params {
            text.push_str(&format!(
                "|{}={}",
                String::from_utf8_lossy(&p.name),
                String::from_utf8_lossy(&p.value)
            ));
        }
        text
    }

    #[test]
    fn content_types_are_read() {
        for (value, want) in [
            ("text/html; charset=utf-8", "text/html|charset=utf-8"),
            (
                "Text / Plain ; Charset = \"a;\\\"b\" ; x",
                "Text/Plain|Charset=a;\"b",
            ),
            ("text/plain (hi (there)); a=b(c); d=e", "text/plain|a=b|d=e"),
            (
                "application/x; name*0*=utf-8''%41; name*1=b c.txt; e=",
                "application/x|name*0*=utf-8''%41|name*1=b c.txt|e=",
            ),
            (
                "multipart/mixed;\r\n boundary=\"a\r\n b\"",
                "multipart/mixed|boundary=a b",
            ),
            ("text", "text/plain"),
            ("", "text/plain"),
            ("text/", "text/plain"),
            ("/plain", "text/plain"),
            ("te\u{e9}xt/plain", "text/plain"),
            ("a/b; ;; c=d; =e; \"f\"=g", "a/b|c=d"),
            ("a/b; c=\"unfinished", "a/b|c=unfinished"),
            ("a/b(((((", "a/b"),
        ] {
            let part = entity(&format!("Content-Type: {value}\r\n\r\n"));
            assert_eq!(shown(&part), want, "{value:?}");
        }
        assert_eq!(shown(&entity("")), "text/plain|charset=us-ascii");
    }

    #[test]
    fn the_other_fields_are_read() {
        let part = entity(
            "CONTENT-ID: <x@y>\r\nContent-Transfer-Encoding: (c) Base64 \r\n\
             Content-Description: a\r\n  =?utf-8?q?b?=\r\nContent-MD5: Q2hlY2s=\r\n\
             Content-Disposition: attachment; filename=\"a b\"\r\n\
             Content-Language: en, de (x) ,fr\r\nContent-Location: http://x/y\r\n\r\n",
        );
        assert_eq!(part.id.as_deref(), Some(&b"<x@y>"[..]));
        assert_eq!(part.encoding.as_deref(), Some(&b"Base64"[..]));
        assert_eq!(part.description.as_deref(), Some(&b"a  =?utf-8?q?b?="[..]));
        assert_eq!(part.md5.as_deref(), Some(&b"Q2hlY2s="[..]));
        let disposition = part.disposition.unwrap();
        assert_eq!(disposition.kind.as_ref(), b"attachment");
        assert_eq!(disposition.params[0].value.as_ref(), b"a b");
        assert_eq!(part.language, ["en", "de", "fr"]);
        assert_eq!(part.location.as_deref(), Some(&b"http://x/y"[..]));
    }
}
