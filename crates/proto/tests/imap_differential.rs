//! Against another implementation: a command that imap-codec reads is never a
//! syntax error here. What it reads and we refuse by choice (mailbox names that
//! are not modified UTF-7, unknown system flags, charsets, extensions that we do
//! not offer) carries another [`Problem`].

use imap_codec::CommandCodec;
use imap_codec::decode::Decoder;
use postrider_proto::imap::{CommandReader, Frame, Limits, Problem};
use proptest::prelude::*;

/// Feeds a command, literals included, as a session does.
fn read(text: &str) -> Frame {
    let mut reader = CommandReader::new(Limits::default());
    let mut rest = text.as_bytes();
    loop {
        let end = rest
            .iter()
            .position(|&b| b == b'\n')
            .map_or(rest.len(), |at| at + 1);
        let (line, tail) = rest.split_at(end);
        rest = tail;
        match reader.line(line) {
            Frame::Literal { length, .. } if length <= rest.len() => {
                let (literal, tail) = rest.split_at(length);
                assert_eq!(reader.literal(literal), length);
                rest = tail;
            }
            frame => return frame,
        }
    }
}

fn they_read(text: &str) -> bool {
    matches!(CommandCodec::default().decode(text.as_bytes()), Ok((rest, _)) if rest.is_empty())
}

/// Lists that the grammar wants to be non-empty and imap-codec takes empty.
fn has_empty_list(text: &str) -> bool {
    text.contains("()")
}

/// Commands that both read.
const ORDINARY: &[&str] = &[
    "a CAPABILITY",
    "a NOOP",
    "a LOGOUT",
    "a STARTTLS",
    "a AUTHENTICATE PLAIN",
    "a AUTHENTICATE PLAIN AGEAYg==",
    "a LOGIN ann \"se cret\"",
    "a LOGIN {3}\r\nann {2}\r\npw",
    "a SELECT inbox",
    "a EXAMINE \"a b\"",
    "a CREATE Entw&APw-rfe",
    "a DELETE x",
    "a RENAME x y",
    "a SUBSCRIBE x",
    "a UNSUBSCRIBE x",
    "a LIST \"\" *",
    "a LSUB \"\" %",
    "a STATUS x (MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT)",
    "a CHECK",
    "a CLOSE",
    "a EXPUNGE",
    "a SEARCH ALL",
    "a UID SEARCH OR (SEEN FLAGGED) NOT FROM ann",
    "a SEARCH SINCE 1-Feb-1994 LARGER 10",
    "a FETCH 1:* FULL",
    "a FETCH 1,3 (FLAGS UID BODY.PEEK[1.2.HEADER.FIELDS (TO \"CC\")]<0.9>)",
    "a UID FETCH 1:* (BODYSTRUCTURE ENVELOPE RFC822.SIZE)",
    "a STORE 1 +FLAGS.SILENT (\\Seen $x)",
    "a UID STORE 1 -FLAGS \\Deleted",
    "a COPY 1 x",
    "a UID COPY 1 x",
    "a MOVE 1 x",
    "a UID MOVE 1 x",
    "a IDLE",
    "a ENABLE CONDSTORE",
    "a UNSELECT",
    "a GETQUOTA \"\"",
    "a GETQUOTAROOT x",
    "a SETQUOTA \"\" (STORAGE 5)",
];

#[test]
fn both_read_the_ordinary_commands() {
    for text in ORDINARY {
        let text = format!("{text}\r\n");
        assert!(they_read(&text), "imap-codec: {text}");
        assert!(matches!(read(&text), Frame::Command(_)), "here: {text}");
    }
}

/// What is put into them.
const PIECES: &[&str] = &[
    "1:*",
    "1,2",
    "5",
    " ",
    " ",
    " ",
    "(",
    ")",
    "[",
    "]",
    "<0.1>",
    "BODY",
    "BODY.PEEK[",
    "HEADER.FIELDS ",
    "TEXT",
    "1.2",
    "MIME",
    "HEADER",
    "\"a\"",
    "\"\\\\\"",
    "\\Seen",
    "{3}\r\nabc",
    "abc",
    "INBOX",
    "&Jjo-",
    "NOT ",
    "OR ",
    "SEEN",
    "FROM ",
    "SINCE ",
    "1-Feb-1994",
    "\"1-Feb-1994\"",
    "FLAGS ",
    "+FLAGS",
    "-FLAGS.SILENT ",
    "*",
    "%",
    "UID ",
    "UID",
    "ENVELOPE",
    "ALL",
    "FULL",
    "MESSAGES",
    "UNSEEN",
    "STORAGE ",
    "\"\"",
    "KEYWORD ",
    "LARGER ",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn what_imap_codec_reads_is_no_syntax_error(
        command in prop::sample::select(ORDINARY),
        places in prop::collection::vec((0usize..12, prop::sample::select(PIECES)), 1..4),
    ) {
        let mut words: Vec<&str> = command.split_inclusive([' ', '(', '[']).collect();
        for (place, piece) in places {
            // The tag stays.
            let place = 1 + place % words.len();
            if place < words.len() && piece.len() % 2 == 0 {
                words[place] = piece;
            } else {
                words.insert(place, piece);
            }
        }
        let text = words.concat() + "\r\n";
        if they_read(&text) && !has_empty_list(&text) && let Frame::Invalid(error) = read(&text) {
            let by_choice = matches!(
                error.problem,
                Problem::MailboxName(_) | Problem::Flag(_) | Problem::Charset | Problem::Value(_)
            );
            prop_assert!(by_choice, "{text:?}: {error}");
        }
    }
}
