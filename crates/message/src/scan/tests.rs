//! Tests of the scan: a table of odd messages, any bytes in any chunks, hostile
//! sizes, and a comparison with mail-parser, which reads whole messages.

use std::fmt::Write as _;

use mail_parser::{MessageParser, PartType};
use proptest::prelude::*;

use super::*;
use crate::{Address, Error, KeptHeader};

fn summarize(message: &[u8]) -> Summary {
    let mut summarizer = Summarizer::new();
    summarizer.push(message);
    summarizer.finish()
}

/// `type/subtype[header..body..end,lines](children)`.
fn shown(part: &Part) -> String {
    let mut text = format!(
        "{}/{}[{}..{}..{},{}]",
        String::from_utf8_lossy(&part.media_type),
        String::from_utf8_lossy(&part.subtype),
        part.header_start,
        part.body_start,
        part.body_end,
        part.lines,
    );
    if !part.parts.is_empty() {
        let children: Vec<_> = part.parts.iter().map(shown).collect();
        let _ = write!(text, "({})", children.join(" "));
    }
    text
}

fn body<'a>(message: &'a str, part: &Part) -> &'a str {
    &message[part.body_start as usize..part.body_end as usize]
}

#[test]
fn structures_are_found() {
    let multipart = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    for (message, want) in [
        ("", "text/plain[0..0..0,0]"),
        ("\r\n", "text/plain[0..2..2,0]"),
        ("A: b\r\n\r\nhi\r\n", "text/plain[0..8..12,1]"),
        ("A: b\n\nhi", "text/plain[0..6..8,1]"),
        ("A: b", "text/plain[0..4..4,0]"),
        ("A: b\r\n", "text/plain[0..6..6,0]"),
        ("\0\u{ff}\0\r\n\r\n\0", "text/plain[0..8..9,1]"),
        // Preamble and epilogue.
        (
            &format!("{multipart}pre\r\n--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\nepi\r\n"),
            "multipart/mixed[0..45..82,9](text/plain[55..57..58,1] text/plain[65..67..68,1])",
        ),
        // No closing delimiter.
        (
            &format!("{multipart}--b\r\n\r\n1\r\n"),
            "multipart/mixed[0..45..55,3](text/plain[50..52..55,1])",
        ),
        // A delimiter as the last, unfinished line.
        (
            &format!("{multipart}--b\r\n\r\n1\r\n--b--"),
            "multipart/mixed[0..45..60,4](text/plain[50..52..53,1])",
        ),
        // A delimiter within a header.
        (
            &format!("{multipart}--b\r\nA: b\r\n--b--\r\n"),
            "multipart/mixed[0..45..63,3](text/plain[50..56..56,0])",
        ),
        // No part at all.
        (
            &format!("{multipart}nothing\r\n"),
            "multipart/mixed[0..45..54,1](text/plain[54..54..54,0])",
        ),
        (
            "Content-Type: multipart/mixed\r\n\r\n--b\r\n",
            "text/plain[0..33..38,1]",
        ),
        // Line ends of one byte, padding behind the boundary, no line end before it.
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b \t\n\n1\n\n--b\n\n--b--\n",
            "multipart/mixed[0..43..64,7](text/plain[49..50..52,1] text/plain[57..58..58,0])",
        ),
    ] {
        let summary = summarize(message.as_bytes());
        assert_eq!(shown(&summary.structure().unwrap()), want, "{message:?}");
        assert_eq!(summary.size, message.len() as u64);
        assert_eq!(summary.lines, message.lines().count() as u64, "{message:?}");
    }
}

#[test]
fn a_boundary_that_begins_like_another_is_told_apart() {
    let message = "Content-Type: multipart/mixed; boundary=\"x\"\r\n\r\n--x\r\n\
        Content-Type: multipart/alternative; boundary=\"xy\"\r\n\r\n\
        --xy\r\n\r\none\r\n--xy\r\n\r\ntwo\r\n--xy--\r\n--x\r\n\r\nthree\r\n--x--\r\n";
    let root = summarize(message.as_bytes()).structure().unwrap();
    assert_eq!(root.parts.len(), 2);
    assert_eq!(root.parts[0].parts.len(), 2);
    assert_eq!(body(message, &root.parts[0].parts[1]), "two");
    assert_eq!(body(message, &root.parts[1]), "three");
}

const NESTED: &str = "From: a@b\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n\
    --o\r\n\r\ntext\r\n\
    --o\r\nContent-Type: message/rfc822\r\n\r\n\
    Subject: inner\r\nFrom: Inner <i@n>\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n\
    --i\r\n\r\nplain\r\n--i\r\nContent-Type: text/html\r\n\r\n<p>\r\n--i--\r\n\
    --o\r\nContent-Type: multipart/digest; boundary=d\r\n\r\n\
    --d\r\n\r\nSubject: digested\r\n\r\nbody\r\n--d--\r\n\
    --o\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA==\r\n\
    --o--\r\n";

#[test]
fn messages_in_messages_are_looked_into() {
    let root = summarize(NESTED.as_bytes()).structure().unwrap();
    let inner = &root.parts[1];
    let envelope = inner.envelope.as_ref().unwrap();
    assert_eq!(envelope.subject.as_deref(), Some(&b"inner"[..]));
    assert_eq!(envelope.sender()[0].host.as_deref(), Some(&b"n"[..]));
    let message = inner.message().unwrap();
    assert!(message.is("Multipart", "ALTERNATIVE"));
    assert_eq!(message.body_end, inner.body_end);
    assert!(root.parts[2].parts[0].is("message", "rfc822"));
    let digested = root.parts[2].parts[0].message().unwrap();
    assert_eq!(body(NESTED, digested), "body");
    assert!(root.parts[3].is("application", "octet-stream"));
    for (section, want) in [
        (&[1][..], Some("text")),
        (&[2, 1], Some("plain")),
        (&[2, 2], Some("<p>")),
        (&[2, 3], None),
        (&[3, 1, 1], Some("body")),
        (&[3, 1, 2], None),
        (&[1, 1], None),
        (&[0], None),
        (&[5], None),
    ] {
        let found = root.find(section).map(|p| body(NESTED, p));
        assert_eq!(found, want, "{section:?}");
    }
    let plain = summarize(b"A: b\r\n\r\nhi").structure().unwrap();
    assert_eq!(plain.find(&[1]).unwrap().body(), 8..10);
    assert!(plain.find(&[1, 1]).is_none());
    assert!(plain.find(&[2]).is_none());
}

#[test]
fn the_header_fills_the_summary() {
    let message = "Received: x\r\nReceived: y\r\nDelivered-To: Ann@Example.org\r\n\
        Date: Thu, 29 Feb 2024 12:34:56 +0100\r\nMessage-ID: <1@x>\r\nReferences: <0@x>\r\n\
        Subject: Re:\r\n =?utf-8?q?caf=C3=A9?=\r\nFrom: Ann <a@b>\r\nTo: c@d, e@f\r\n\r\n";
    let summary = summarize(message.as_bytes());
    assert_eq!(summary.header, message.as_bytes());
    assert!(summary.header_complete());
    assert_eq!(summary.header_length, message.len() as u64);
    assert_eq!(summary.received_count, 2);
    assert_eq!(summary.delivered_to, ["ann@example.org"]);
    assert_eq!(summary.sent.unwrap().zone, 60);
    let envelope = summary.envelope().unwrap();
    assert_eq!(
        envelope.subject.as_deref(),
        Some(&b"Re: =?utf-8?q?caf=C3=A9?="[..])
    );
    assert_eq!(envelope.to.len(), 2);
    assert_eq!(envelope.reply_to(), envelope.from);
    let thread = summary.thread().unwrap();
    assert_eq!(thread.base_subject, "café");
    assert_eq!(thread.references, ["0@x"]);

    let stored = summary.encode_to_bytes();
    assert_eq!(Summary::from_bytes(stored.clone()), Ok(summary));
    assert_eq!(
        Summary::from_bytes(bytes::Bytes::from_static(b"\x02")),
        Err(Error::Version(2))
    );
    assert!(Summary::from_bytes(bytes::Bytes::new()).is_err());
    assert!(Summary::from_bytes(stored.slice(..stored.len() - 3)).is_err());
}

#[test]
fn a_long_header_keeps_its_common_fields() {
    let filler = |n: usize| format!("X-Filler: {}\r\n", "x".repeat(70)).repeat(n);
    let message = format!("Subject: s\r\n{}To: t@x\r\n\r\nbody\r\n", filler(300));
    let summary = summarize(message.as_bytes());
    assert_eq!(summary.kept(), KeptHeader::Common);
    assert_eq!(summary.header, &b"Subject: s\r\nTo: t@x\r\n\r\n"[..]);
    assert!(summary.header_covers([&b"To"[..], b"cc"].into_iter()));
    assert!(!summary.header_covers([&b"X-Filler"[..]].into_iter()));
    assert_eq!(summary.header_length, message.len() as u64 - 6);

    // Of a header that is too long to be held nothing else is lost.
    let message = format!("Subject: s\r\n{}To: t@x\r\n\r\nbody\r\n", filler(4000));
    let summary = summarize(message.as_bytes());
    assert_eq!(summary.kept(), KeptHeader::Common);
    assert_eq!(summary.header, &b"Subject: s\r\nTo: t@x\r\n\r\n"[..]);
    assert_eq!(summary.header_length, message.len() as u64 - 6);
    assert_eq!(summary.structure().unwrap().octets(), 6);
}

#[test]
fn thousands_of_recipients_hide_no_other_field() {
    let to = |n: usize| {
        let more = |i| format!(",\r\n recipient-{i:06}@example.org");
        let more: String = (1..n).map(more).collect();
        format!("To: recipient-000000@example.org{more}\r\n")
    };
    for count in [3_500, 12_000] {
        let message = format!(
            "Received: a\r\n{}{}Subject: late\r\nFrom: a@x\r\nX: y\r\nReceived: b\r\n\
             Message-ID: <1@x>\r\nContent-Type: text/html\r\n\r\nbody\r\n",
            to(count),
            to(count).replace("To:", "Cc:"),
        );
        let summary = summarize(message.as_bytes());
        let envelope = summary.envelope().unwrap();
        assert_eq!(envelope.subject.as_deref(), Some(&b"late"[..]), "{count}");
        assert_eq!(envelope.message_id.as_deref(), Some(&b"<1@x>"[..]));
        assert_eq!(envelope.from[0].mailbox.as_deref(), Some(&b"a"[..]));
        assert!(envelope.to.len() > 1_000, "{}", envelope.to.len());
        assert_eq!(summary.received_count, 2);
        assert_eq!(summary.kept(), KeptHeader::Nothing);
        assert!(summary.structure().unwrap().is("text", "html"));
        // How it comes makes no difference.
        for size in [1, 1023, 4096, 300_000] {
            let mut summarizer = Summarizer::new();
            message
                .as_bytes()
                .chunks(size)
                .for_each(|c| summarizer.push(c));
            assert!(summarizer.finish() == summary, "chunks of {size}");
        }
    }
}

#[test]
fn a_long_line_in_a_long_header_is_cut_alone() {
    let message = format!(
        "X: {}\r\nTo: {}\r\nSubject: s\r\n\r\nbody\r\n",
        "x".repeat(300_000),
        "a@x,".repeat(50_000)
    );
    let summary = summarize(message.as_bytes());
    let envelope = summary.envelope().unwrap();
    assert_eq!(envelope.subject.as_deref(), Some(&b"s"[..]));
    assert!(envelope.to.len() > 100);
    for size in [1, 1025, 70_000] {
        let mut summarizer = Summarizer::new();
        message
            .as_bytes()
            .chunks(size)
            .for_each(|c| summarizer.push(c));
        assert!(summarizer.finish() == summary, "chunks of {size}");
    }
}

#[test]
fn nesting_ends_at_a_limit() {
    for unit in [
        "Content-Type: message/rfc822\r\n\r\n",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
    ] {
        let summary = summarize(unit.repeat(1000).as_bytes());
        let root = summary.structure().unwrap();
        let mut depth = 1;
        let mut part = &root;
        while let Some(inner) = part.parts.first() {
            depth += 1;
            part = inner;
        }
        assert!((2..=MAX_DEPTH + 1).contains(&depth), "{depth}");
        let stored = summary.encode_to_bytes();
        let read = Summary::from_bytes(stored).unwrap();
        assert_eq!(read.structure().unwrap(), root);
    }
    let mut distinct = String::new();
    for i in 0..1000 {
        let _ = write!(
            distinct,
            "Content-Type: multipart/mixed; boundary=\"b{i}x\"\r\n\r\n--b{i}x\r\n"
        );
    }
    let root = summarize(distinct.as_bytes()).structure().unwrap();
    let mut deepest = &root;
    while let Some(inner) = deepest.parts.first() {
        deepest = inner;
    }
    assert!(deepest.is("application", "octet-stream"));
}

/// The memory that a summarizer holds, but for the parts' small fields.
fn held(summarizer: &Summarizer) -> usize {
    summarizer.held.capacity() + summarizer.header.capacity()
}

#[test]
fn a_million_parts_are_bounded() {
    let mut summarizer = Summarizer::new();
    summarizer.push(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n");
    let part =
        b"--b\r\nContent-Type: a/b; name=\"some name of a file\"\r\nContent-ID: <x>\r\n\r\nx\r\n";
    let block = part.repeat(1000);
    for _ in 0..1000 {
        summarizer.push(&block);
        assert!(held(&summarizer) < 2 * MAX_HEADER);
    }
    let summary = summarizer.finish();
    assert!(summary.encode_to_bytes().len() < 200_000);
    let root = summary.structure().unwrap();
    assert_eq!(root.parts.len(), MAX_PARTS - 1);
    assert_eq!(root.parts.last().unwrap().body_end, summary.size);
}

#[test]
fn a_huge_structure_keeps_to_its_budget() {
    let mut message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
    let value = "v".repeat(4000);
    for _ in 0..900 {
        message.extend_from_slice(b"--b\r\nContent-Type: a/b");
        for _ in 0..10 {
            message.extend_from_slice(format!("; boundary={value}").as_bytes());
        }
        message.extend_from_slice(b"\r\n\r\nx\r\n");
    }
    let summary = summarize(&message);
    assert_eq!(summary.structure().unwrap().parts.len(), 900);
    assert!(summary.encode_to_bytes().len() < MAX_STRUCTURE + 100_000);
}

#[test]
fn a_line_of_a_gigabyte_is_not_held() {
    let block = vec![b'-'; 1 << 20];
    for start in [
        &b"Subject: "[..],
        b"A: b\r\n\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--",
    ] {
        let mut summarizer = Summarizer::new();
        summarizer.push(start);
        for _ in 0..1024 {
            summarizer.push(&block);
            assert!(held(&summarizer) < 2 * MAX_HEADER);
        }
        let size = summarizer.size();
        assert_eq!(size, start.len() as u64 + (1 << 30));
        let summary = summarizer.finish();
        assert_eq!(summary.size, size);
        assert!(summary.encode_to_bytes().len() < 400_000);
    }
}

/// Bytes that look like a message often enough.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r\n\r\n".to_vec()),
        Just(b"--b".to_vec()),
        Just(b"\r\n--b\r\n".to_vec()),
        Just(b"\r\n--b--\r\n".to_vec()),
        Just(b"--bb\r\n".to_vec()),
        Just(b"-".to_vec()),
        Just(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec()),
        Just(b"Content-Type: multipart/digest; boundary=\"bb\"\r\n\r\n--bb\r\n".to_vec()),
        Just(b"Content-Type: message/rfc822\r\n\r\n".to_vec()),
        Just(b"Subject: x\r\n y\r\nFrom: a <b@c>\r\n".to_vec()),
        Just(vec![b'x'; 1030]),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn chunks_make_no_difference(message in messages(), sizes in prop::collection::vec(1_usize..40, 1..20)) {
        let whole = summarize(&message);
        let mut summarizer = Summarizer::new();
        let mut rest = &message[..];
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            summarizer.push(chunk);
            rest = after;
        }
        prop_assert_eq!(summarizer.finish(), whole);
    }

    #[test]
    fn places_lie_within_their_parents(message in messages()) {
        fn check(part: &Part) -> Result<(), TestCaseError> {
            prop_assert!(part.header_start <= part.body_start && part.body_start <= part.body_end);
            prop_assert!(!part.media_type.is_empty() && !part.subtype.is_empty());
            prop_assert!(part.lines <= part.octets());
            prop_assert!(!part.is_multipart() || !part.parts.is_empty());
            let mut from = part.body_start;
            for inner in &part.parts {
                prop_assert!(from <= inner.header_start && inner.body_end <= part.body_end);
                from = inner.body_end;
                check(inner)?;
            }
            Ok(())
        }
        let summary = summarize(&message);
        check(&summary.structure().unwrap())?;
        prop_assert_eq!(summary.structure().unwrap().body_end, summary.size);
    }

    #[test]
    fn any_address_field_is_read(value in "[ a-c@<>,;:\"\\\\().\\[\\]\r\n=?é]{0,60}") {
        let summary = summarize(format!("From: {value}\r\n\r\n").as_bytes());
        let opens = |a: &&Address| a.opens_group();
        let closes = |a: &&Address| a.closes_group();
        let from = summary.envelope().unwrap().from;
        prop_assert_eq!(from.iter().filter(opens).count(), from.iter().filter(closes).count());
    }

    #[test]
    fn sane_messages_are_read_as_mail_parser_reads_them(tree in tree()) {
        let message = tree.write(&mut 0);
        let ours = summarize(message.as_bytes()).structure().unwrap();
        let parsed = MessageParser::new().parse(message.as_bytes()).unwrap();
        let mut leaves = Vec::new();
        collect_ours(&ours, &mut leaves);
        let mut theirs = Vec::new();
        collect_theirs(&parsed, &mut theirs);
        prop_assert_eq!(leaves, theirs, "{}", message);
    }
}

/// A message without surprises.
#[derive(Clone, Debug)]
enum Tree {
    Text(String),
    Binary(String),
    Multipart(Vec<Tree>),
    Message(Box<Tree>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        "[a-z]{1,9}( [a-z]{1,9}){0,5}(\r\n[a-z]{1,20}){0,3}".prop_map(Tree::Text),
        "[A-Za-z0-9]{4}".prop_map(Tree::Binary),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 1..4).prop_map(Tree::Multipart),
            // mail-parser loses its way in a message that is nothing but a message.
            1 => inner.prop_map(|t| match t {
                Tree::Message(_) => t,
                other => Tree::Message(Box::new(other)),
            }),
        ]
    })
}

impl Tree {
    fn write(&self, boundaries: &mut u32) -> String {
        match self {
            Self::Text(text) => format!("Content-Type: text/plain\r\n\r\n{text}\r\n"),
            Self::Binary(text) => format!(
                "Content-Type: image/png\r\nContent-Disposition: attachment\r\n\r\n{text}\r\n"
            ),
            Self::Message(inner) => format!(
                "Content-Type: message/rfc822\r\n\r\nSubject: s\r\n{}",
                inner.write(boundaries)
            ),
            Self::Multipart(parts) => {
                *boundaries += 1;
                let boundary = format!("=_{boundaries}_");
                let mut text =
                    format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n");
                for part in parts {
                    let _ = write!(text, "--{boundary}\r\n{}\r\n", part.write(boundaries));
                }
                let _ = write!(text, "--{boundary}--\r\n");
                text
            }
        }
    }
}

/// Header start, body start and body end of each leaf, in order.
fn collect_ours(part: &Part, out: &mut Vec<(u64, u64, u64)>) {
    if part.parts.is_empty() {
        out.push((part.header_start, part.body_start, part.body_end));
    }
    for inner in &part.parts {
        collect_ours(inner, out);
    }
}

fn collect_theirs(message: &mail_parser::Message<'_>, out: &mut Vec<(u64, u64, u64)>) {
    for part in &message.parts {
        match &part.body {
            PartType::Multipart(_) => {}
            PartType::Message(inner) => collect_theirs(inner, out),
            _ => out.push((
                part.offset_header.into(),
                part.offset_body.into(),
                part.offset_end.into(),
            )),
        }
    }
}
