//! Character sets: encoded words (RFC 2047) and text parts to UTF-8, for SEARCH
//! and thread keys.

use encoding_rs::{CoderResult, Encoding, UTF_8, WINDOWS_1252};

use crate::transfer::{TransferEncoding, decode};

/// The longest encoded word that is decoded: far above RFC 2047's 75 bytes.
const MAX_WORD: usize = 2048;

/// Decodes the text of a part chunk by chunk, after its transfer encoding.
pub struct TextDecoder {
    decoder: encoding_rs::Decoder,
}

impl TextDecoder {
    /// A decoder for `charset`. Without one, and for an unknown one, the text is
    /// taken as UTF-8 with replacement characters.
    pub fn new(charset: Option<&[u8]>) -> Self {
        Self {
            decoder: encoding(charset.unwrap_or_default()).new_decoder_without_bom_handling(),
        }
    }

    /// Decodes `chunk` and appends to `out`; `last` ends the text.
    pub fn push(&mut self, mut chunk: &[u8], last: bool, out: &mut String) {
        loop {
            out.reserve(chunk.len() + 16);
            let (result, read, _) = self.decoder.decode_to_string(chunk, out, last);
            chunk = &chunk[read..];
            if result == CoderResult::InputEmpty {
                return;
            }
        }
    }
}

/// Decodes a whole text part after its transfer encoding.
pub fn decode_text(charset: Option<&[u8]>, text: &[u8]) -> String {
    let mut out = String::new();
    TextDecoder::new(charset).push(text, true, &mut out);
    out
}

/// Whether `charset` is known: SEARCH answers BADCHARSET otherwise.
pub fn is_known_charset(charset: &[u8]) -> bool {
    Encoding::for_label(charset).is_some()
}

fn encoding(charset: &[u8]) -> &'static Encoding {
    Encoding::for_label(charset).unwrap_or(UTF_8)
}

/// Raw 8-bit header text: UTF-8 if it is (RFC 6532), else what old mailers mostly
/// meant.
fn raw(text: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(text) {
        Ok(text) => text.into(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(text).0,
    }
}

/// The unfolded value of a header field as UTF-8, its encoded words decoded
/// (RFC 2047 §6). What is no valid encoded word stays as it is.
pub fn decode_words(value: &[u8]) -> String {
    if memchr::memmem::find(value, b"=?").is_none() {
        return raw(value).into_owned();
    }
    let mut out = String::with_capacity(value.len());
    let mut plain = 0;
    let mut at = 0;
    // Bytes of the words so far in one charset: a character may be cut between words.
    let mut run: Option<(&'static Encoding, Vec<u8>)> = None;
    while let Some(found) = memchr::memmem::find(&value[at..], b"=?") {
        let start = at + found;
        let Some(word) = Word::read(&value[start..]) else {
            at = start + 2;
            continue;
        };
        let between = &value[plain..start];
        // RFC 2047 §6.2: white space between encoded words is not shown.
        let joined = run.is_some() && between.iter().all(u8::is_ascii_whitespace);
        if !joined || run.as_ref().is_some_and(|(e, _)| *e != word.encoding) {
            flush(&mut run, &mut out);
        }
        if !joined {
            out.push_str(&raw(between));
        }
        run.get_or_insert_with(|| (word.encoding, Vec::new()))
            .1
            .extend_from_slice(&word.bytes);
        at = start + word.length;
        plain = at;
    }
    flush(&mut run, &mut out);
    out.push_str(&raw(&value[plain..]));
    out
}

fn flush(run: &mut Option<(&'static Encoding, Vec<u8>)>, out: &mut String) {
    if let Some((encoding, bytes)) = run.take() {
        out.push_str(&encoding.decode_without_bom_handling(&bytes).0);
    }
}

struct Word {
    encoding: &'static Encoding,
    bytes: Vec<u8>,
    length: usize,
}

impl Word {
    /// Reads `=?charset*language?encoding?text?=` at the start of `value`.
    fn read(value: &[u8]) -> Option<Self> {
        let value = &value[..value.len().min(MAX_WORD)];
        let rest = &value[2..];
        let charset_end = memchr::memchr(b'?', rest)?;
        let charset = rest[..charset_end].split(|b| *b == b'*').next()?;
        let encoding = Encoding::for_label(charset)?;
        let (kind, text) = match rest.get(charset_end + 1..)? {
            [kind, b'?', text @ ..] => (kind.to_ascii_lowercase(), text),
            _ => return None,
        };
        let end = memchr::memmem::find(text, b"?=")?;
        let encoded = &text[..end];
        let bytes = match kind {
            b'b' => decode(TransferEncoding::Base64, encoded),
            b'q' => {
                // RFC 2047 §4.2: `_` is a space.
                let spaced: Vec<u8> = encoded
                    .iter()
                    .flat_map(|b| match b {
                        b'_' => b"=20".as_slice(),
                        b' ' => b"=20",
                        _ => std::slice::from_ref(b),
                    })
                    .copied()
                    .collect();
                decode(TransferEncoding::QuotedPrintable, &spaced)
            }
            _ => return None,
        };
        Some(Self {
            encoding,
            bytes,
            length: 2 + charset_end + 3 + end + 2,
        })
    }
}

/// The first part of `text`, at most `max` bytes, cut between characters.
pub(crate) fn truncate(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_are_decoded() {
        for (value, want) in [
            ("plain", "plain"),
            ("=?utf-8?Q?caf=C3=A9_au?= lait", "café au lait"),
            ("=?UTF-8?B?Y2Fmw6k=?=", "café"),
            ("a =?iso-8859-1?q?=E9?= b", "a é b"),
            ("=?utf-8?q?a?= \t =?utf-8?q?b?= c", "ab c"),
            ("=?utf-8?b?w6?= =?utf-8?b?k=?=", "\u{fffd}"),
            ("=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
            ("=?utf-8*en?q?x?=", "x"),
            ("=?gb2312?b?xOO6ww==?=", "你好"),
            ("=?no-such?q?x?=", "=?no-such?q?x?="),
            ("=?utf-8?x?x?=", "=?utf-8?x?x?="),
            ("=?utf-8?q?unfinished", "=?utf-8?q?unfinished"),
            ("=?", "=?"),
            ("=?=?=?utf-8?q?x?=", "=?=?x"),
        ] {
            assert_eq!(decode_words(value.as_bytes()), want, "{value:?}");
        }
        assert_eq!(decode_words(b"caf\xe9"), "café");
        assert_eq!(decode_words("café".as_bytes()), "café");
    }

    #[test]
    fn text_is_decoded_in_any_chunks() {
        let text = "Grüße, 世界 🎉";
        for chunk in 1..8 {
            let mut decoder = TextDecoder::new(Some(b"utf-8"));
            let mut out = String::new();
            for part in text.as_bytes().chunks(chunk) {
                decoder.push(part, false, &mut out);
            }
            decoder.push(b"", true, &mut out);
            assert_eq!(out, text);
        }
        assert_eq!(decode_text(Some(b"iso-2022-jp"), b"\x1b$B$\"\x1b(B"), "あ");
        assert_eq!(decode_text(None, b"a\xff"), "a\u{fffd}");
        assert!(is_known_charset(b"US-ASCII"));
        assert!(!is_known_charset(b"x-unknown"));
    }
}
