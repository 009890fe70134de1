//! Responses, byte by byte.

use std::iter;

use postrider_types::{Flag, Flags, Millis, ModSeq, Uid, UidValidity};

use super::super::input::Input;
use super::super::{CommandReader, DateTime, FetchItem, Frame, Limits, SpecialUse, StatusItem};
use super::*;

fn written(write: impl FnOnce(&mut Writer)) -> String {
    let mut writer = Writer::new();
    write(&mut writer);
    String::from_utf8(writer.take()).unwrap()
}

fn tag() -> Tag {
    Tag::parse(&mut Input::new(b"t1 ")).unwrap()
}

#[test]
fn codes_are_written_in_brackets() {
    let flags: Flags = [Flag::Seen, Flag::keyword("work").unwrap()]
        .into_iter()
        .collect();
    for (code, want) in [
        (Code::Alert, "ALERT"),
        (
            Code::BadCharset(&["UTF-8", "US-ASCII"]),
            "BADCHARSET (UTF-8 US-ASCII)",
        ),
        (
            Code::Capability(&["IMAP4rev1", "IDLE"]),
            "CAPABILITY IMAP4rev1 IDLE",
        ),
        (
            Code::PermanentFlags {
                flags: &flags,
                new_keywords: true,
            },
            "PERMANENTFLAGS (\\Seen work \\*)",
        ),
        (
            Code::PermanentFlags {
                flags: &Flags::new(),
                new_keywords: false,
            },
            "PERMANENTFLAGS ()",
        ),
        (Code::UidNext(Uid(4392)), "UIDNEXT 4392"),
        (
            Code::UidValidity(UidValidity(3_857_529_045)),
            "UIDVALIDITY 3857529045",
        ),
        (Code::Unseen(12), "UNSEEN 12"),
        (
            Code::AppendUid {
                validity: UidValidity(7),
                uids: &[9..=9],
            },
            "APPENDUID 7 9",
        ),
        (
            Code::CopyUid {
                validity: UidValidity(7),
                from: &[1..=2, 5..=5],
                to: &[11..=13],
            },
            "COPYUID 7 1:2,5 11:13",
        ),
        (
            Code::HighestModSeq(ModSeq(u64::MAX)),
            "HIGHESTMODSEQ 18446744073709551615",
        ),
        (Code::Modified(&[7..=7, 9..=9]), "MODIFIED 7,9"),
        (Code::ReadOnly, "READ-ONLY"),
        (Code::OverQuota, "OVERQUOTA"),
    ] {
        let line = written(|w| w.tagged(&tag(), Condition::Ok, Some(&code), "done"));
        assert_eq!(line, format!("t1 OK [{want}] done\r\n"));
    }
}

#[test]
fn text_for_humans_is_one_line_of_ascii() {
    let line = written(|w| w.untagged(Condition::No, None, "no mailbox \"ä\"\r\na OK"));
    assert_eq!(line, "* NO no mailbox \"?\"  a OK\r\n");
    assert_eq!(
        written(|w| w.untagged(Condition::Bye, None, "")),
        "* BYE .\r\n"
    );
    assert_eq!(written(|w| w.continuation("")), "+ \r\n");
}

#[test]
fn errors_are_answered_by_their_tag() {
    let answer = |line: &str| match CommandReader::new(Limits::default()).line(line.as_bytes()) {
        Frame::Invalid(error) => written(|w| {
            w.error(&error);
        }),
        other => panic!("{other:?}"),
    };
    for (line, want) in [
        ("x FROB", "x BAD unknown command\r\n"),
        (
            "x SEARCH CHARSET X ALL",
            "x NO [BADCHARSET (US-ASCII UTF-8)] charset not supported, use UTF-8\r\n",
        ),
        (
            "x SELECT (",
            "x BAD expected a mailbox name at byte 9 of the command\r\n",
        ),
        (
            "x SELECT R&D",
            "x NO [CANNOT] a mailbox name must be modified UTF-7: write & as &-\r\n",
        ),
        (
            "",
            "* BAD no tag; a command is: tag SP name SP arguments\r\n",
        ),
        (
            "x NOOP {99999999999999999999+}",
            "x BAD [LIMIT] command longer than 65536 bytes\r\n* BYE command longer than 65536 bytes\r\n",
        ),
    ] {
        assert_eq!(answer(line), want);
    }
}

#[test]
fn untagged_data_is_written() {
    let uses = [
        Attribute::HasNoChildren,
        Attribute::SpecialUse(SpecialUse::Sent),
    ];
    let resource = Resource {
        name: "STORAGE",
        usage: 10,
        limit: 512,
    };
    let text = written(|w| {
        w.exists(3);
        w.recent(0);
        w.expunge(2);
        w.flags(&[Flag::Seen].into_iter().collect());
        w.capability(&["IMAP4rev1", "IDLE"]);
        w.enabled(&[]);
        w.enabled(&["CONDSTORE"]);
        w.list(&uses, "Gesendet/ü", false);
        w.list(&[], "a\"b", true);
        w.list_delimiter();
        w.lsub(&[Attribute::NoSelect], "R&D");
        w.status(
            "INBOX",
            [(StatusItem::Messages, 3), (StatusItem::HighestModSeq, 9)],
        );
        w.search([2, 84], None);
        w.search([], None);
        w.search([1], Some(ModSeq(5)));
        w.namespace();
        w.id(&[]);
        w.id(&[("name", "Postrider"), ("version", "0")]);
        w.quota("", &[resource]);
        w.quota_root("INBOX", &[""]);
    });
    let want = "* 3 EXISTS\r\n* 0 RECENT\r\n* 2 EXPUNGE\r\n* FLAGS (\\Seen)\r\n* CAPABILITY IMAP4rev1 IDLE\r\n\
        * ENABLED\r\n* ENABLED CONDSTORE\r\n\
        * LIST (\\HasNoChildren \\Sent) \"/\" \"Gesendet/&APw-\"\r\n\
        * LIST () \"/\" \"a\\\"b\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n\
        * LIST (\\Noselect) \"/\" \"\"\r\n* LSUB (\\Noselect) \"/\" \"R&-D\"\r\n\
        * STATUS \"INBOX\" (MESSAGES 3 HIGHESTMODSEQ 9)\r\n\
        * SEARCH 2 84\r\n* SEARCH\r\n* SEARCH 1 (MODSEQ 5)\r\n* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n\
        * ID NIL\r\n* ID (\"name\" \"Postrider\" \"version\" \"0\")\r\n\
        * QUOTA \"\" (STORAGE 10 512)\r\n* QUOTAROOT \"INBOX\" \"\"\r\n";
    assert_eq!(text, want);
}

#[test]
fn extended_search_tells_what_was_asked() {
    let tag = tag();
    let text = written(|w| {
        w.extended_search(&ExtendedSearch {
            tag: Some(&tag),
            uid: true,
            min: Some(2),
            max: Some(9),
            count: Some(3),
            all: Some(&[2..=3, 9..=9]),
            mod_seq: Some(ModSeq(77)),
        });
        w.extended_search(&ExtendedSearch {
            all: Some(&[]),
            ..ExtendedSearch::default()
        });
    });
    let want =
        "* ESEARCH (TAG \"t1\") UID MIN 2 MAX 9 COUNT 3 MODSEQ 77 ALL 2:3,9\r\n* ESEARCH\r\n";
    assert_eq!(text, want);
}

#[test]
fn a_fetch_comes_in_pieces() {
    let date = DateTime {
        at: Millis::from_seconds(836_207_065),
        zone: -420,
    };
    let text = written(|w| {
        w.fetch_start(12);
        w.fetch_flags(&[Flag::Seen].into_iter().collect(), true);
        w.fetch_uid(Uid(99));
        w.fetch_internal_date(date);
        w.fetch_size(44_827);
        w.fetch_mod_seq(ModSeq(7));
        w.fetch_literal(&FetchItem::Rfc822Text, 3);
        w.raw(b"a\r\n");
        w.fetch_nil(&FetchItem::Rfc822);
        w.fetch_bytes(&FetchItem::Rfc822Header, b"");
        w.fetch_end();
    });
    let want = "* 12 FETCH (FLAGS (\\Seen \\Recent) UID 99 INTERNALDATE \" 1-Jul-1996 00:44:25 -0700\" \
        RFC822.SIZE 44827 MODSEQ (7) RFC822.TEXT {3}\r\na\r\n RFC822 NIL RFC822.HEADER {0}\r\n)\r\n";
    assert_eq!(text, want);
}

struct Header;

impl Envelope for Header {
    fn date(&self) -> Option<&[u8]> {
        Some(b"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)")
    }
    fn subject(&self) -> Option<&[u8]> {
        Some(b"a \"b\" \\")
    }
    fn addresses(&self, field: AddressField) -> impl Iterator<Item = Address<'_>> {
        let ann = Address {
            name: Some(b"Ann"),
            mailbox: Some(b"ann"),
            host: Some(b"example.org"),
            ..Address::default()
        };
        let open = Address {
            mailbox: Some(b"team"),
            ..Address::default()
        };
        let addresses = match field {
            AddressField::From => vec![ann],
            AddressField::To => vec![open, ann, Address::default()],
            _ => vec![],
        };
        addresses.into_iter()
    }
    fn in_reply_to(&self) -> Option<&[u8]> {
        None
    }
    fn message_id(&self) -> Option<&[u8]> {
        Some(b"<1@\xe4>")
    }
}

const ENVELOPE: &str = "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"a \\\"b\\\" \\\\\" \
    ((\"Ann\" NIL \"ann\" \"example.org\")) ((\"Ann\" NIL \"ann\" \"example.org\")) \
    ((\"Ann\" NIL \"ann\" \"example.org\")) \
    ((NIL NIL \"team\" NIL)(\"Ann\" NIL \"ann\" \"example.org\")(NIL NIL NIL NIL)) \
    NIL NIL NIL {5}\r\n<1@\u{fffd}>)";

#[test]
fn an_envelope_repeats_from_and_falls_back_to_literals() {
    let mut writer = Writer::new();
    writer.fetch_envelope(&Header);
    let text = String::from_utf8_lossy(writer.bytes()).into_owned();
    assert_eq!(text, format!("ENVELOPE {ENVELOPE}"));
}

#[derive(Clone, Copy)]
enum Tree {
    Text,
    Message,
    Mixed,
    EmptyMultipart,
    Deep(usize),
}

impl Part for Tree {
    type Envelope = Header;

    fn media_type(&self) -> &[u8] {
        match self {
            Self::Text => b"TEXT",
            Self::Message => b"message",
            _ => b"multipart",
        }
    }
    fn subtype(&self) -> &[u8] {
        match self {
            Self::Text => b"plain",
            Self::Message => b"RFC822",
            _ => b"mixed",
        }
    }
    fn params(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let charset = (&b"charset"[..], &b"utf-8"[..]);
        matches!(self, Self::Text).then_some(charset).into_iter()
    }
    fn id(&self) -> Option<&[u8]> {
        None
    }
    fn description(&self) -> Option<&[u8]> {
        None
    }
    fn encoding(&self) -> Option<&[u8]> {
        None
    }
    fn octets(&self) -> u64 {
        1152
    }
    fn lines(&self) -> u64 {
        23
    }
    fn md5(&self) -> Option<&[u8]> {
        None
    }
    fn disposition(&self) -> Option<Disposition<'_, impl Iterator<Item = (&[u8], &[u8])>>> {
        matches!(self, Self::Text).then(|| Disposition {
            kind: b"inline",
            params: iter::once((&b"filename"[..], &b"a"[..])),
        })
    }
    fn languages(&self) -> impl Iterator<Item = &[u8]> {
        matches!(self, Self::Mixed)
            .then_some([&b"en"[..], b"de"])
            .into_iter()
            .flatten()
    }
    fn location(&self) -> Option<&[u8]> {
        None
    }
    fn children(&self) -> impl Iterator<Item = Self> {
        let children = match *self {
            Self::Mixed => vec![Self::Text, Self::Message],
            Self::Deep(0) => vec![Self::Text],
            Self::Deep(n) => vec![Self::Deep(n - 1)],
            _ => vec![],
        };
        children.into_iter()
    }
    fn message(&self) -> Option<(Header, Self)> {
        matches!(self, Self::Message).then_some((Header, Self::Text))
    }
}

#[test]
fn a_structure_is_written_with_and_without_extension_data() {
    let write = |part: Tree| {
        let mut writer = Writer::new();
        writer.fetch_start(1);
        writer.fetch_body(&part);
        writer.fetch_body_structure(&part);
        String::from_utf8_lossy(writer.bytes()).into_owned()
    };
    let text = "\"TEXT\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7BIT\" 1152 23";
    let more = "NIL (\"inline\" (\"filename\" \"a\")) NIL NIL";
    let message = "\"message\" \"RFC822\" NIL NIL NIL \"7BIT\" 1152";
    assert_eq!(
        write(Tree::Mixed),
        format!(
            "* 1 FETCH (BODY (({text})({message} {ENVELOPE} ({text}) 23) \"mixed\") BODYSTRUCTURE \
             (({text} {more})({message} {ENVELOPE} ({text} {more}) 23 NIL NIL NIL NIL) \"mixed\" \
             NIL NIL (\"en\" \"de\") NIL)"
        )
    );
    let opaque = "(\"application\" \"octet-stream\" NIL NIL NIL \"7BIT\" 1152)";
    assert!(write(Tree::EmptyMultipart).contains(opaque));
    let deep = write(Tree::Deep(100_000));
    assert!(deep.contains(opaque) && deep.len() < 20_000);
}

proptest::proptest! {
    #[test]
    fn strings_survive_a_round_trip(
        bytes in proptest::collection::vec(1u8..=255, 0..40), long in proptest::bool::ANY,
    ) {
        let bytes = if long { bytes.repeat(100) } else { bytes };
        let mut out = Vec::new();
        text::string(&mut out, &bytes);
        let mut input = Input::new(&out);
        let back = input.string("a string").unwrap();
        proptest::prop_assert_eq!(back.as_ref(), &bytes[..]);
        proptest::prop_assert!(input.at_end());
    }

    #[test]
    fn mailbox_names_survive_a_round_trip(name in "\\PC{0,40}") {
        let mut out = Vec::new();
        text::mailbox(&mut out, &name);
        let back = Input::new(&out).mailbox().unwrap();
        proptest::prop_assert!(back == name || name.eq_ignore_ascii_case("INBOX"));
    }

    #[test]
    fn numbers_are_written_in_decimal(value in proptest::num::u64::ANY) {
        let mut out = Vec::new();
        text::number(&mut out, value);
        proptest::prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
    }
}

#[test]
fn a_nul_becomes_a_space() {
    let mut out = Vec::new();
    text::string(&mut out, b"a\0b");
    assert_eq!(out, b"{3}\r\na b");
}
