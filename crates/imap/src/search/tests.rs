//! Programs over messages of which more and more is known.

use bytes::Bytes;
use postrider_message::Summarizer;
use postrider_proto::imap::{Command, CommandReader, Frame, Limits};
use postrider_types::{BodyId, Flags, MailboxId, Millis, Uid};

use super::*;

fn mailbox() -> Selected {
    let mut selected = Selected::new(MailboxId(1), ModSeq(1), false);
    for uid in [3, 5, 9] {
        selected.add(Uid(uid));
    }
    selected.loaded();
    selected.recent_from = 9;
    selected
}

fn program(text: &str) -> Result<Program, Reply> {
    let line = format!("a SEARCH {text}");
    match CommandReader::new(Limits::default()).line(line.as_bytes()) {
        Frame::Command(tagged) => match tagged.command {
            Command::Search(search) => Program::new(&search.key, &mailbox()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn view(flags: &[Flag]) -> MessageView {
    MessageView {
        uid: Uid(5),
        mod_seq: ModSeq(7),
        flags: flags.iter().cloned().collect::<Flags>(),
        internal_date: Millis::from_seconds(1_000_000_000), // 9-Sep-2001 01:46:40 UTC
        zone: -120,
        size: 500,
        body: BodyId::from_bytes([0; 16]),
        prefix: Bytes::from_static(b"Received: by here\r\n"),
        summary: Bytes::new(),
    }
}

const MESSAGE: &[u8] = b"From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\n\
Subject: one\r\n two\r\nDate: Thu, 29 Feb 2024 23:30:00 -0500\r\n\r\nbody\r\n";

/// The answers with nothing, flags, the row and the summary known.
fn answers(text: &str) -> Vec<Option<bool>> {
    let program = program(text).unwrap();
    let view = view(&[Flag::Seen]);
    let mut summarizer = Summarizer::new();
    summarizer.push(MESSAGE);
    let summary = summarizer.finish();
    let mut known = Known {
        place: 1,
        ..Known::default()
    };
    let mut answers = vec![program.holds(&known)];
    known.flags = Some(&view);
    answers.push(program.holds(&known));
    known.row = Some(&view);
    answers.push(program.holds(&known));
    known.summary = Some(&summary);
    answers.push(program.holds(&known));
    answers
}

#[test]
fn cheap_knowledge_decides_first() {
    let (yes, no, open) = (Some(true), Some(false), None);
    for (key, want) in [
        ("ALL", [yes, yes, yes, yes]),
        ("1", [no, no, no, no]),
        ("2 UID 5:*", [yes, yes, yes, yes]),
        ("NOT UID 5", [no, no, no, no]),
        ("SEEN", [open, yes, yes, yes]),
        ("UNSEEN SUBJECT one", [open, no, no, no]),
        ("OR SEEN BODY x", [open, yes, yes, yes]),
        ("1 BODY x", [no, no, no, no]),
        ("OLD NOT NEW", [yes, yes, yes, yes]),
        ("MODSEQ 8", [open, no, no, no]),
        ("LARGER 499 SMALLER 501", [open, open, yes, yes]),
        // 23:46 on the 8th two hours west.
        ("ON 8-Sep-2001", [open, open, yes, yes]),
        ("SINCE 9-Sep-2001", [open, open, no, no]),
        ("SENTON 29-Feb-2024", [open, open, open, yes]),
        ("SUBJECT \"ONE TWO\"", [open, open, open, yes]),
        ("HEADER received HERE", [open, open, open, yes]),
        ("HEADER x-none \"\"", [open, open, open, no]),
        ("HEADER from \"\"", [open, open, open, yes]),
        ("TEXT \"subject: one\"", [open, open, open, yes]),
        ("TEXT nowhere", [open, open, open, open]),
        ("BODY body", [open, open, open, open]),
        ("BODY \"\"", [yes, yes, yes, yes]),
    ] {
        assert_eq!(answers(key), want, "{key}");
    }
}

#[test]
fn encoded_words_are_found() {
    let mut summarizer = Summarizer::new();
    summarizer.push(MESSAGE);
    let (summary, view) = (summarizer.finish(), view(&[]));
    let known = Known {
        row: Some(&view),
        summary: Some(&summary),
        ..Known::default()
    };
    let program = Program {
        fields: Vec::new(),
        root: Node::Header("From".into(), Some(Needle::new("JÜRGEN"))),
        texts: Vec::new(),
        mod_seq: false,
    };
    assert_eq!(program.holds(&known), Some(true));
}

#[test]
fn a_number_without_a_message_is_an_error() {
    assert!(program("4").is_err());
    assert!(program("UID 4").is_ok());
}

#[test]
fn a_program_asks_only_for_what_can_decide() {
    let program = program("SEEN SUBJECT x").unwrap();
    assert!(program.asks(Kind::Flags) && program.asks(Kind::Summary));
    assert!(!program.asks(Kind::Row));
}
