//! Replies (RFC 5321 §4.2) with their enhanced status codes (RFC 2034), as a
//! client reads them: bounded, and with a text that is safe to store, log and
//! quote in a notice.

use std::fmt;

use postrider_types::EnhancedStatus;

/// The longest line of a reply in bytes, CRLF included. RFC 5321 §4.5.3.1.5
/// names 512, and some servers exceed it.
pub const MAX_REPLY_LINE: usize = 2048;
/// The most lines of a reply. No known server has half as many extensions.
pub const MAX_REPLY_LINES: usize = 128;
/// How much of a reply's text is kept, in bytes: lines that do not fit are
/// dropped whole, for half of an EHLO line may have another meaning.
pub const MAX_REPLY_TEXT: usize = 4096;

/// What a peer answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The reply code, 200 to 599.
    pub code: u16,
    /// The enhanced status code, where there is one that fits the reply code.
    pub enhanced: Option<EnhancedStatus>,
    /// The text without the codes, its lines separated by `\n`: printable ASCII
    /// alone, with `?` for any other byte.
    pub text: String,
}

impl Reply {
    /// 2xx: done.
    pub const fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3xx: go on.
    pub const fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4xx: not now.
    pub const fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5xx: never.
    pub const fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }
}

/// On one line: `550 5.1.1 no such user`.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for line in self.text.split('\n').filter(|line| !line.is_empty()) {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

/// Why what the peer sent is no reply. Nothing after it can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// No line that starts with a code of 200 to 599.
    #[error("the server's answer is no SMTP reply")]
    NotAReply,
    /// The lines of one reply have different codes (RFC 5321 §4.2.1).
    #[error("the lines of the server's reply have different codes")]
    CodesDiffer,
    /// A line is longer than [`MAX_REPLY_LINE`].
    #[error("a line of the server's reply is longer than {MAX_REPLY_LINE} bytes")]
    LineTooLong,
    /// More lines than [`MAX_REPLY_LINES`].
    #[error("the server's reply has more than {MAX_REPLY_LINES} lines")]
    TooManyLines,
}

/// Reads replies one after the other.
#[derive(Clone, Debug, Default)]
pub struct ReplyParser {
    begun: Option<Reply>,
    lines: usize,
}

impl ReplyParser {
    /// A parser before its first reply.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no reply has begun.
    pub const fn is_idle(&self) -> bool {
        self.begun.is_none()
    }

    /// Takes whole lines off the front of `input`, up to the end of a reply:
    /// how many bytes, and the reply if it is complete. What is left over of
    /// `input` shall come again, with more behind it.
    pub fn next(&mut self, input: &[u8]) -> Result<(usize, Option<Reply>), ReplyError> {
        let mut taken = 0;
        loop {
            let rest = input.get(taken..).unwrap_or_default();
            match memchr::memchr(b'\n', rest) {
                Some(at) if at < MAX_REPLY_LINE => {
                    taken += at + 1;
                    // A bare LF ends a line as well: nothing depends on it here.
                    let line = rest.get(..at).unwrap_or_default();
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    if let Some(reply) = self.line(line)? {
                        return Ok((taken, Some(reply)));
                    }
                }
                None if rest.len() < MAX_REPLY_LINE => return Ok((taken, None)),
                _ => return Err(ReplyError::LineTooLong),
            }
        }
    }

    /// Takes one line without its end: the reply, if it was the last line.
    fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        self.lines += 1;
        if self.lines > MAX_REPLY_LINES {
            return Err(ReplyError::TooManyLines);
        }
        let (code, last, text) = split(line).ok_or(ReplyError::NotAReply)?;
        let (enhanced, text) = enhanced(code, text);
        let mut reply = match self.begun.take() {
            Some(begun) if begun.code != code => return Err(ReplyError::CodesDiffer),
            Some(mut begun) => {
                if begun.text.len() + 1 + text.len() <= MAX_REPLY_TEXT {
                    begun.text.push('\n');
                    push_safe(&mut begun.text, text);
                }
                begun
            }
            None => {
                let mut first = String::new();
                push_safe(&mut first, text);
                Reply {
                    code,
                    enhanced: None,
                    text: first,
                }
            }
        };
        reply.enhanced = reply.enhanced.or(enhanced);
        if last {
            self.lines = 0;
            return Ok(Some(reply));
        }
        self.begun = Some(reply);
        Ok(None)
    }
}

/// The code, whether the line is the last one, and the text.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (code, rest) = line.split_at_checked(3)?;
    // RFC 5321 §4.2: 1yz is no reply of SMTP.
    if !matches!(code, [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']) {
        return None;
    }
    let code = code
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        // RFC 5321 §4.2.1: clients take a code without text and space.
        None => Some((code, true, rest)),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

/// Takes an enhanced status code off the front of `text`. One whose class is
/// not the reply code's is believed no more than any text (RFC 2034 §4).
fn enhanced(code: u16, text: &[u8]) -> (Option<EnhancedStatus>, &[u8]) {
    let end = text.iter().position(|b| *b == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    match parse_enhanced(word) {
        Some(status) if u16::from(status.0) == code / 100 => {
            (Some(status), rest.strip_prefix(b" ").unwrap_or(rest))
        }
        _ => (None, text),
    }
}

fn parse_enhanced(word: &[u8]) -> Option<EnhancedStatus> {
    // RFC 3463 §2: class 2, 4 or 5, then two numbers of up to three digits.
    let number = |digits: &[u8]| {
        let ok = (1..=3).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
        ok.then(|| digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0')))
    };
    let mut parts = word.split(|b| *b == b'.');
    let class = match parts.next()? {
        [class @ (b'2' | b'4' | b'5')] => class - b'0',
        _ => return None,
    };
    let (subject, detail) = (number(parts.next()?)?, number(parts.next()?)?);
    parts
        .next()
        .is_none()
        .then_some(EnhancedStatus(class, subject, detail))
}

fn push_safe(out: &mut String, text: &[u8]) {
    out.extend(text.iter().map(|&byte| match byte {
        b' '..=b'~' => char::from(byte),
        b'\t' => ' ',
        _ => '?',
    }));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads `input` in pieces of `step` bytes: all replies, or why not.
    fn read(input: &[u8], step: usize) -> Result<Vec<Reply>, ReplyError> {
        let (mut parser, mut held, mut replies) = (ReplyParser::new(), Vec::new(), Vec::new());
        for piece in input.chunks(step.max(1)) {
            held.extend_from_slice(piece);
            loop {
                let (taken, reply) = parser.next(&held)?;
                held.drain(..taken);
                match reply {
                    Some(reply) => replies.push(reply),
                    None => break,
                }
            }
        }
        Ok(replies)
    }

    fn one(input: &str) -> Reply {
        let mut all = read(input.as_bytes(), input.len()).unwrap();
        assert_eq!(all.len(), 1, "{input:?}");
        all.remove(0)
    }

    #[test]
    fn replies_are_read() {
        for (wire, code, enhanced, text) in [
            ("250 OK\r\n", 250, None, "OK"),
            ("250 2.1.0 OK\r\n", 250, Some((2, 1, 0)), "OK"),
            ("250 2.1.0\r\n", 250, Some((2, 1, 0)), ""),
            ("354\r\n", 354, None, ""),
            ("354 \n", 354, None, ""),
            (
                "550-5.1.1 no\r\n550 5.1.1 such user\r\n",
                550,
                Some((5, 1, 1)),
                "no\nsuch user",
            ),
            (
                "550-no\r\n550 5.1.1 such user\r\n",
                550,
                Some((5, 1, 1)),
                "no\nsuch user",
            ),
            // The classes differ: the enhanced code is text.
            ("550 4.1.1 no\r\n", 550, None, "4.1.1 no"),
            ("250 2.1.0.1 x\r\n", 250, None, "2.1.0.1 x"),
            ("250 2.1.1000 x\r\n", 250, None, "2.1.1000 x"),
            ("250 2.1 x\r\n", 250, None, "2.1 x"),
        ] {
            let reply = one(wire);
            let enhanced = enhanced.map(|(a, b, c)| EnhancedStatus(a, b, c));
            assert_eq!(
                (reply.code, reply.enhanced, reply.text.as_str()),
                (code, enhanced, text)
            );
        }
        assert_eq!(
            one("550-5.1.1 a\r\n550 5.1.1 b\r\n").to_string(),
            "550 5.1.1 a b"
        );
        assert_eq!(read(b"250 a\r\n250 b\r\n", 3).unwrap().len(), 2);
    }

    #[test]
    fn unsafe_bytes_are_replaced() {
        let reply = read(b"550 a\0b\rc\x1b[0m \xff\xc3\xbc\td\r\n", 100).unwrap();
        assert_eq!(reply[0].text, "a?b?c?[0m ??? d");
    }

    #[test]
    fn what_is_no_reply_is_told() {
        use ReplyError as E;
        let endless = "250-x\r\n".repeat(MAX_REPLY_LINES + 1);
        let long = "2".repeat(MAX_REPLY_LINE);
        for (wire, error) in [
            ("\r\n", E::NotAReply),
            ("HTTP/1.1 400 Bad Request\r\n", E::NotAReply),
            ("25\r\n", E::NotAReply),
            ("2500 x\r\n", E::NotAReply),
            ("150 x\r\n", E::NotAReply),
            ("600 x\r\n", E::NotAReply),
            ("250_x\r\n", E::NotAReply),
            ("250-x\r\n251 y\r\n", E::CodesDiffer),
            (&endless, E::TooManyLines),
            (&long, E::LineTooLong),
        ] {
            assert_eq!(read(wire.as_bytes(), 7), Err(error), "{wire:.20}");
        }
    }

    #[test]
    fn a_long_text_loses_whole_lines() {
        let line = "x".repeat(1500);
        let wire = format!("250-a\r\n250-{line}\r\n250-{line}\r\n250-{line}\r\n250 SIZE 52\r\n");
        assert_eq!(one(&wire).text, format!("a\n{line}\n{line}\nSIZE 52"));
    }

    proptest! {
        #[test]
        fn any_input_is_survived_alike_at_every_split(
            wire in "(250|[245][0-9.]{0,3}|x)?[- ]?[ -~]{0,6}(\r?\n)?(250[- ][^\0]{0,9}\r\n){0,3}",
            step in 1usize..9,
        ) {
            let whole = read(wire.as_bytes(), wire.len());
            prop_assert_eq!(read(wire.as_bytes(), step), whole.clone());
            for reply in whole.into_iter().flatten() {
                prop_assert!(reply.text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n')));
            }
        }
    }
}
