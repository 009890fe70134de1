//! Replies (RFC 5321 §4.2) with enhanced status codes (RFC 2034), to bytes.

use std::borrow::Cow;
use std::io::Write as _;

use postrider_types::EnhancedStatus;

/// The most text of one line: RFC 5321 §4.5.3.1.5 allows 512 bytes with code,
/// enhanced code and CRLF.
const MAX_TEXT: usize = 480;

/// A reply. Its text may have several lines, separated by `\n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedStatus>,
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply with an enhanced status code. `code` is 200 to 599.
    pub fn new(code: u16, enhanced: (u8, u16, u16), text: impl Into<Cow<'static, str>>) -> Self {
        let (class, subject, detail) = enhanced;
        debug_assert_eq!(
            u16::from(class),
            code / 100,
            "the classes agree (RFC 2034 §4)"
        );
        Self {
            code,
            enhanced: Some(EnhancedStatus(class, subject, detail)),
            text: text.into(),
        }
    }

    /// A reply without one: greetings, EHLO's, 3xx (RFC 2034 §4).
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            enhanced: None,
            text: text.into(),
        }
    }

    /// The reply code.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code.
    pub const fn enhanced(&self) -> Option<EnhancedStatus> {
        self.enhanced
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// 2xx or 3xx.
    pub const fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Appends the reply as it is sent. Control characters in the text become
    /// `?`, and long lines are cut: no text, whoever gave it, makes a second
    /// reply out of one.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{:03}{separator}", self.code);
            if let Some(enhanced) = self.enhanced {
                let _ = write!(out, "{enhanced} ");
            }
            let line = &line[..line.floor_char_boundary(MAX_TEXT)];
            out.extend(
                line.bytes()
                    .map(|b| if b.is_ascii_control() { b'?' } else { b }),
            );
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn replies_are_written() {
        assert_eq!(
            written(&Reply::new(250, (2, 1, 0), "OK")),
            "250 2.1.0 OK\r\n"
        );
        assert_eq!(written(&Reply::plain(354, "go on")), "354 go on\r\n");
        assert_eq!(
            written(&Reply::plain(250, "a\nb\nc")),
            "250-a\r\n250-b\r\n250 c\r\n"
        );
        assert_eq!(
            written(&Reply::new(550, (5, 1, 1), "a\nb")),
            "550-5.1.1 a\r\n550 5.1.1 b\r\n"
        );
        assert_eq!(written(&Reply::plain(221, "")), "221 \r\n");
    }

    #[test]
    fn hostile_text_stays_one_reply() {
        let reply = Reply::new(550, (5, 1, 1), "no user a\r250 OK\0");
        assert_eq!(written(&reply), "550 5.1.1 no user a?250 OK?\r\n");
        let reply = Reply::new(550, (5, 1, 1), "ü".repeat(1000));
        assert!(written(&reply).len() <= 512);
    }
}
