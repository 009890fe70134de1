//! Dots, ends and smuggling, at every split of the input.

use proptest::prelude::*;

use super::*;

struct Read {
    text: Vec<u8>,
    ended_at: Option<usize>,
    violation: Option<Violation>,
}

/// Feeds `input` in pieces of `step` bytes.
fn read(mut content: Content, input: &[u8], step: usize) -> Read {
    let mut text = Vec::new();
    let mut taken = 0;
    for chunk in input.chunks(step.max(1)) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let (used, piece) = content.next(rest);
            taken += used;
            match piece {
                Piece::Text(piece) => text.extend_from_slice(piece),
                Piece::End => {
                    return Read {
                        text,
                        ended_at: Some(taken),
                        violation: content.violation(),
                    };
                }
            }
            rest = &rest[used..];
        }
    }
    Read {
        text,
        ended_at: None,
        violation: content.violation(),
    }
}

fn data(input: &[u8]) -> Read {
    let whole = read(Content::data(1000), input, input.len());
    for step in 1..=input.len().min(40) {
        let split = read(Content::data(1000), input, step);
        assert_eq!(split.text, whole.text, "step {step}");
        assert_eq!(split.ended_at, whole.ended_at, "step {step}");
        assert_eq!(split.violation, whole.violation, "step {step}");
    }
    whole
}

#[test]
fn dots_are_unstuffed_and_the_end_found() {
    for (wire, text) in [
        ("a\r\nb\r\n.\r\n", "a\r\nb\r\n"),
        (".\r\n", ""),
        ("..\r\n.\r\n", ".\r\n"),
        ("a\r\n..b\r\n...\r\n.\r\n", "a\r\n.b\r\n..\r\n"),
        ("a.\r\n.b\r\n.\r\n", "a.\r\nb\r\n"),
        ("\r\n.\r\n", "\r\n"),
    ] {
        let got = data(format!("{wire}QUIT\r\n").as_bytes());
        assert_eq!(String::from_utf8(got.text).unwrap(), text);
        assert_eq!(got.ended_at, Some(wire.len()), "{wire:?}");
        assert_eq!(got.violation, None);
    }
    assert_eq!(data(b"a\r\n.").ended_at, None);
    assert_eq!(data(b"a.\r\n").ended_at, None);
}

#[test]
fn only_crlf_dot_crlf_ends() {
    for (wire, violation) in [
        ("a\n.\nMAIL FROM:<x@y>\r\n.\r\n", Violation::BareLf),
        ("a\n.\r\nMAIL FROM:<x@y>\r\n.\r\n", Violation::BareLf),
        ("a\r\n.\nMAIL FROM:<x@y>\r\n.\r\n", Violation::BareLf),
        ("a\r.\rMAIL FROM:<x@y>\r\n.\r\n", Violation::BareCr),
        ("a\r\n.\rMAIL FROM:<x@y>\r\n.\r\n", Violation::BareCr),
        ("a\r.\r\nMAIL FROM:<x@y>\r\n.\r\n", Violation::BareCr),
        ("a\r\r\n.\r\n", Violation::BareCr),
        ("\n.\r\n\r\n.\r\n", Violation::BareLf),
        ("a\r\n.\r\r\n.\r\n", Violation::BareCr),
        ("a\r\n\n.\r\nb\r\n.\r\n", Violation::BareLf),
    ] {
        let got = data(format!("{wire}QUIT\r\n").as_bytes());
        assert_eq!(got.ended_at, Some(wire.len()), "{wire:?}");
        assert_eq!(got.violation, Some(violation), "{wire:?}");
    }
}

#[test]
fn long_lines_are_told() {
    let line = |n: usize| format!("{}\r\nb\r\n.\r\n", "x".repeat(n)).into_bytes();
    assert_eq!(data(&line(1000)).violation, None);
    let got = data(&line(1001));
    assert_eq!(got.violation, Some(Violation::LongLine));
    assert!(got.ended_at.is_some());
}

#[test]
fn bdat_keeps_dots() {
    let wire = b"..a\r\n.\r\nb";
    let mut content = Content::bdat(1000);
    assert_eq!(content.next(wire), (wire.len(), Piece::Text(wire)));
    assert!(content.finish());
    assert_eq!(content.violation(), None);
    let mut content = Content::bdat(1000);
    content.next(b"a\r");
    content.next(b"\n");
    assert!(!content.finish());
    assert_eq!(content.violation(), None);
    content.next(b"b\r");
    content.finish();
    assert_eq!(content.violation(), Some(Violation::BareCr));
}

/// RFC 5321 §4.5.2, as a client does it.
fn stuff(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.split_inclusive(|&b| b == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b".\r\n");
    out
}

proptest! {
    #[test]
    fn stuffed_text_comes_back(lines in proptest::collection::vec("[.a]{0,5}", 0..8), step in 1usize..20) {
        let text: String = lines.iter().map(|l| format!("{l}\r\n")).collect();
        let wire = stuff(text.as_bytes());
        let got = read(Content::data(1000), &wire, step);
        prop_assert_eq!(got.text, text.into_bytes());
        prop_assert_eq!(got.ended_at, Some(wire.len()));
        prop_assert_eq!(got.violation, None);
    }

    #[test]
    fn the_end_is_the_first_crlf_dot_crlf(wire in "[.\r\na\0]{0,40}", step in 1usize..20) {
        let wire = wire.into_bytes();
        let mut lined = b"\r\n".to_vec();
        lined.extend_from_slice(&wire);
        let expected = lined.windows(5).position(|w| w == b"\r\n.\r\n").map(|at| at + 3);
        let got = read(Content::data(1000), &wire, step);
        prop_assert_eq!(got.ended_at, expected);
        let bare = |text: &[u8]| {
            let text = String::from_utf8(text.to_vec()).unwrap().replace("\r\n", "");
            text.contains(['\r', '\n', '\0'])
        };
        if let Some(end) = expected {
            prop_assert_eq!(got.violation.is_some(), bare(&wire[..end]));
        }
    }
}
