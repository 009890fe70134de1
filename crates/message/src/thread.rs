//! Thread keys: message ids (RFC 5256 §2.2) and the base subject (RFC 5256 §2.1).

use bytes::Bytes;

use crate::{Thread, text};

/// The longest id that is kept: a header line's limit (RFC 5322 §2.1.1).
const MAX_ID: usize = 998;
/// The most ids that are kept of References.
const MAX_REFERENCES: usize = 100;
/// The most ids that are kept of In-Reply-To.
const MAX_IN_REPLY_TO: usize = 10;
/// The longest base subject in bytes.
const MAX_SUBJECT: usize = 512;

/// The thread keys of a header.
pub(crate) fn read(
    message_id: Option<&[u8]>,
    in_reply_to: Option<&[u8]>,
    references: Option<&[u8]>,
    subject: Option<&[u8]>,
) -> Thread {
    let decoded = subject.map(text::decode_words).unwrap_or_default();
    let (base, is_reply) = base_subject(&decoded);
    Thread {
        message_id: message_id.and_then(|v| ids(v).next()),
        in_reply_to: in_reply_to
            .map(|v| ids(v).take(MAX_IN_REPLY_TO).collect())
            .unwrap_or_default(),
        references: references.map(reference_ids).unwrap_or_default(),
        base_subject: text::truncate(base, MAX_SUBJECT),
        is_reply,
    }
}

fn reference_ids(value: &[u8]) -> Vec<Bytes> {
    let mut all: Vec<Bytes> = ids(value).collect();
    if all.len() > MAX_REFERENCES {
        // The root and the nearest ancestors place the message.
        all.drain(1..=all.len() - MAX_REFERENCES);
    }
    all
}

/// The message ids in `value`, without brackets and white space.
fn ids(value: &[u8]) -> impl Iterator<Item = Bytes> {
    value
        .split(|b| *b == b'<')
        .skip(1)
        .filter_map(|rest| rest.split(|b| *b == b'>').next())
        .filter(|id| id.len() <= MAX_ID)
        .map(|id| {
            id.iter()
                .copied()
                .filter(|b| !b.is_ascii_whitespace())
                .collect::<Bytes>()
        })
        .filter(|id| !id.is_empty())
}

/// The base subject of a decoded subject, and whether it says that the message
/// is a reply or forwarded (RFC 5256 §2.1).
pub fn base_subject(subject: &str) -> (String, bool) {
    // Step 1: white space.
    let collapsed = subject.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut rest = collapsed.as_str();
    let mut is_reply = false;
    loop {
        // Step 2: trailers.
        loop {
            let trimmed = rest.trim_end();
            match strip_end(trimmed, "(fwd)") {
                Some(shorter) => {
                    rest = shorter;
                    is_reply = true;
                }
                None => {
                    rest = trimmed;
                    break;
                }
            }
        }
        // Steps 3 to 5: leaders.
        loop {
            if let Some(after) = strip_leader(rest) {
                rest = after;
                is_reply = true;
            } else if let Some(after) = strip_blob(rest).filter(|after| !after.is_empty()) {
                rest = after;
            } else {
                break;
            }
        }
        // Step 6: `[fwd: ...]`.
        match strip_start(rest, "[fwd:").and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => {
                rest = inner.trim_start();
                is_reply = true;
            }
            None => return (rest.to_owned(), is_reply),
        }
    }
}

fn strip_start<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let head = text.get(..start.len())?;
    head.eq_ignore_ascii_case(start)
        .then(|| &text[start.len()..])
}

fn strip_end<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(end.len())?;
    let tail = text.get(at..)?;
    tail.eq_ignore_ascii_case(end).then(|| &text[..at])
}

/// subj-blob: `[list]` and white space.
fn strip_blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    inner[end..].strip_prefix(']').map(str::trim_start)
}

/// subj-leader: blobs, `re`, `fw` or `fwd`, an optional blob, a colon.
fn strip_leader(text: &str) -> Option<&str> {
    let mut rest = text.trim_start();
    while let Some(after) = strip_blob(rest) {
        rest = after;
    }
    let mut rest = ["re", "fwd", "fw"]
        .iter()
        .find_map(|word| strip_start(rest, word))?
        .trim_start();
    if let Some(after) = strip_blob(rest) {
        rest = after;
    }
    rest.strip_prefix(':').map(str::trim_start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_subjects_follow_rfc_5256() {
        for (subject, want, reply) in [
            ("hello", "hello", false),
            ("Re: hello", "hello", true),
            ("RE : Fwd: re[2]: hello (fwd) (FWD)", "hello", true),
            ("[list] Re: hello", "hello", true),
            ("[list] hello", "hello", false),
            ("[list]", "[list]", false),
            ("Re: [list] [b] hello \t x", "hello x", true),
            ("[fwd: hello]", "hello", true),
            ("[Fwd: Re: [x] hello (fwd)]", "hello", true),
            ("regards", "regards", false),
            ("", "", false),
            ("Re:", "", true),
            ("é: x", "é: x", false),
            ("[[[", "[[[", false),
        ] {
            assert_eq!(
                base_subject(subject),
                (want.to_owned(), reply),
                "{subject:?}"
            );
        }
    }

    #[test]
    fn ids_are_read_and_bounded() {
        let many: String = (0..300).map(|i| format!("<{i}@x> ")).collect();
        let thread = read(
            Some(b"<a b@c> (x) <d@e>"),
            Some(b"your message of today <q@r>"),
            Some(many.as_bytes()),
            Some(b"Re: =?utf-8?q?caf=C3=A9?="),
        );
        assert_eq!(thread.message_id.as_deref(), Some(&b"ab@c"[..]));
        assert_eq!(thread.in_reply_to, ["q@r"]);
        assert_eq!(thread.references.len(), 100);
        assert_eq!(thread.references[0], "0@x");
        assert_eq!(thread.references[1], "201@x");
        assert_eq!(thread.references[99], "299@x");
        assert_eq!(thread.base_subject, "café");
        assert!(thread.is_reply);
        assert!(ids(b"<").next().is_none());
        assert!(ids(b"<>").next().is_none());
    }
}
