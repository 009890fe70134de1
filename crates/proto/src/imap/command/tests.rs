//! Every command in ordinary and in odd spellings, and what is refused.

use postrider_types::{Flag, Flags, ModSeq};

use super::super::*;
use super::*;
use crate::sasl::Secret;

fn parse(text: impl AsRef<[u8]>) -> Result<Command, Problem> {
    match Tagged::parse(text.as_ref()) {
        Ok(tagged) => Ok(tagged.command),
        Err(error) => Err(error.problem),
    }
}

fn ok(text: impl AsRef<[u8]>) -> Command {
    let text = text.as_ref();
    parse(text).unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(text)))
}

fn set(text: &str) -> SequenceSet {
    SequenceSet::parse(&mut Input::new(text.as_bytes())).unwrap()
}

fn flags(words: &[&str]) -> Flags {
    words.iter().map(|w| Flag::parse(w).unwrap()).collect()
}

fn items(text: &str) -> Vec<FetchItem> {
    match ok(text) {
        Command::Fetch(fetch) => fetch.items,
        other => panic!("{other:?}"),
    }
}

fn key(text: &str) -> SearchKey {
    match ok(format!("a SEARCH {text}")) {
        Command::Search(search) => search.key,
        other => panic!("{other:?}"),
    }
}

fn list(text: &str) -> List {
    match ok(text) {
        Command::List(list) => list,
        other => panic!("{other:?}"),
    }
}

#[test]
fn commands_without_arguments_are_read_in_any_case() {
    for (text, want) in [
        ("a CAPABILITY", Command::Capability),
        ("a nOOp  ", Command::Noop),
        ("A1 logout", Command::Logout),
        ("] STARTTLS", Command::StartTls),
        ("a.b namespace", Command::Namespace),
        ("a idle", Command::Idle),
        ("a CHECK", Command::Check),
        ("a close", Command::Close),
        ("a UNSELECT", Command::Unselect),
        ("a EXPUNGE", Command::Expunge(None)),
        ("a uid expunge 3:5", Command::Expunge(Some(set("3:5")))),
        (
            "a ENABLE condstore X",
            Command::Enable(vec!["CONDSTORE".into(), "X".into()]),
        ),
    ] {
        assert_eq!(ok(text), want, "{text}");
    }
}

#[test]
fn tags_are_bounded_atoms_without_plus() {
    for bad in [
        "",
        " NOOP",
        "a+ NOOP",
        "* NOOP",
        "\"a\" NOOP",
        "a\tNOOP",
        "\u{e4} NOOP",
        "a\\ NOOP",
    ] {
        assert_eq!(parse(bad), Err(Problem::NoTag), "{bad}");
    }
    assert!(parse("t".repeat(128) + " NOOP").is_ok());
    assert_eq!(parse("t".repeat(129) + " NOOP"), Err(Problem::NoTag));
    let error = Tagged::parse(b"t1 FROB").unwrap_err();
    assert_eq!(error.tag.unwrap().as_str(), "t1");
    assert_eq!(error.problem, Problem::UnknownCommand);
}

#[test]
fn logins_are_read_with_atoms_quotes_and_literals() {
    let login = |user: &str, password: &str| {
        Command::Login(Login {
            user: user.into(),
            password: Secret::new(password),
        })
    };
    for (text, want) in [
        ("a LOGIN ann secret", login("ann", "secret")),
        ("a LOGIN ann] \"\"", login("ann]", "")),
        ("a login \"a\\\"n\\\\n\" \"p w\"", login("a\"n\\n", "p w")),
        (
            "a LOGIN {3}\r\nann {5+}\r\np\r\nw]",
            login("ann", "p\r\nw]"),
        ),
        ("a LOGIN ann \"pässword\"", login("ann", "pässword")),
        ("a LOGIN {0}\r\n x", login("", "x")),
    ] {
        assert_eq!(ok(text), want, "{text}");
    }
    for bad in [
        "a LOGIN",
        "a LOGIN ann",
        "a LOGIN ann ",
        "a LOGIN ann \"x",
        "a LOGIN ann \"\\x\"",
        "a LOGIN a b c",
        "a LOGIN (a) b",
        "a LOGIN {3}\r\nan",
        "a LOGIN {3}ann x",
        "a LOGIN {99999999999999999999}\r\nx y",
        "a LOGIN {-1}\r\nx y",
        "a LOGIN {1}\r\n\0 y",
        "a LOGIN\tann x",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert!(parse(b"a LOGIN \"\xff\" x").is_err());
    assert!(!format!("{:?}", ok("a LOGIN ann secret")).contains("secret"));
}

#[test]
fn authenticate_takes_an_initial_response() {
    let authenticate = |initial: Option<&str>| {
        Command::Authenticate(Authenticate {
            mechanism: "PLAIN".into(),
            initial: initial.map(Secret::new),
        })
    };
    assert_eq!(ok("a AUTHENTICATE plain"), authenticate(None));
    assert_eq!(
        ok("a AUTHENTICATE PLAIN AGEAYg=="),
        authenticate(Some("AGEAYg=="))
    );
    assert_eq!(ok("a AUTHENTICATE PLAIN ="), authenticate(Some("=")));
    assert!(parse("a AUTHENTICATE PLAIN a b").is_err());
    assert!(parse("a AUTHENTICATE").is_err());
}

#[test]
fn mailbox_commands_decode_names() {
    let select = |mailbox: &str, read_only, condstore| {
        Command::Select(Select {
            mailbox: mailbox.into(),
            read_only,
            condstore,
        })
    };
    for (text, want) in [
        ("a SELECT inbox", select("INBOX", false, false)),
        ("a EXAMINE \"inBox\"", select("INBOX", true, false)),
        (
            "a SELECT Entw&APw-rfe (CONDSTORE)",
            select("Entwürfe", false, true),
        ),
        (
            "a SELECT {5}\r\na b c (condstore)",
            select("a b c", false, true),
        ),
        ("a DELETE R&-D", Command::Delete("R&D".into())),
        ("a SUBSCRIBE \"a/b c\"", Command::Subscribe("a/b c".into())),
        ("a UNSUBSCRIBE x]", Command::Unsubscribe("x]".into())),
        (
            "a GETQUOTAROOT INBOX",
            Command::GetQuotaRoot("INBOX".into()),
        ),
        ("a GETQUOTA \"\"", Command::GetQuota(String::new())),
        (
            "a RENAME a \"b\"",
            Command::Rename(Rename {
                from: "a".into(),
                to: "b".into(),
            }),
        ),
        (
            "a SETQUOTA \"\" (storage 512 MESSAGE 7)",
            Command::SetQuota(SetQuota {
                root: String::new(),
                limits: vec![("STORAGE".into(), 512), ("MESSAGE".into(), 7)],
            }),
        ),
        (
            "a CREATE Mine (USE (\\Drafts \\sent \\Odd))",
            Command::Create(Create {
                mailbox: "Mine".into(),
                special_use: vec![
                    SpecialUse::Drafts,
                    SpecialUse::Sent,
                    SpecialUse::Other("\\Odd".into()),
                ],
            }),
        ),
        (
            "a CREATE a/b/",
            Command::Create(Create {
                mailbox: "a/b/".into(),
                special_use: vec![],
            }),
        ),
        (
            "a STATUS \"\" (MESSAGES uidnext MESSAGES HIGHESTMODSEQ SIZE DELETED)",
            Command::Status(Status {
                mailbox: String::new(),
                items: vec![
                    StatusItem::Messages,
                    StatusItem::UidNext,
                    StatusItem::HighestModSeq,
                    StatusItem::Size,
                    StatusItem::Deleted,
                ],
            }),
        ),
    ] {
        assert_eq!(ok(text), want, "{text}");
    }
    for bad in [
        "a SELECT",
        "a SELECT a b",
        "a SELECT a (QRESYNC (1 2))",
        "a SELECT a ()",
        "a SELECT R&D",
        "a SELECT \"Entwürfe\"",
        "a CREATE x (USE)",
        "a CREATE x (USE (Sent))",
        "a STATUS x ()",
        "a STATUS x (FOO)",
        "a STATUS x MESSAGES",
        "a RENAME a",
        "a SETQUOTA \"\" (STORAGE)",
        "a SETQUOTA \"\" STORAGE 1",
        "a DELETE %",
        "a DELETE {4}\r\na\r\nb",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn list_takes_the_options_of_its_extensions() {
    let basic = list("a LIST \"\" %");
    assert_eq!(basic.patterns[0].as_str(), "%");
    assert!(!basic.extended);
    assert_eq!(
        list("a LIST a/ \"Entw&APw-*\"").patterns[0].as_str(),
        "Entwü*"
    );
    assert_eq!(list("a LIST \"\" \"\"").patterns[0].as_str(), "");
    assert_eq!(list("a LIST \"\" {1}\r\n*").patterns[0].as_str(), "*");
    let rich = list(
        "a LIST (SUBSCRIBED recursivematch SPECIAL-USE REMOTE) \"\" (INBOX %/a) \
         RETURN (CHILDREN SUBSCRIBED SPECIAL-USE STATUS (MESSAGES UNSEEN))",
    );
    assert!(rich.extended && rich.select.recursive_match && rich.select.special_use);
    assert_eq!(rich.patterns.len(), 2);
    assert_eq!(
        rich.returns.status,
        [StatusItem::Messages, StatusItem::Unseen]
    );
    assert!(rich.returns.children && rich.returns.subscribed && rich.returns.special_use);
    assert!(list("a LIST () \"\" % RETURN ()").extended);
    let lsub = ok("a LSUB \"#news.\" \"*\"");
    assert!(
        matches!(lsub, Command::Lsub(l) if l.reference == "#news." && l.pattern.as_str() == "*")
    );
    for bad in [
        "a LIST",
        "a LIST \"\"",
        "a LIST \"\" ()",
        "a LIST (RECURSIVEMATCH) \"\" *",
        "a LIST (FOO) \"\" *",
        "a LIST \"\" * RETURN",
        "a LIST \"\" * RETURN (FOO)",
        "a LIST \"\" * FOO (CHILDREN)",
        "a LIST \"\" a&b",
        "a LIST \"\" * RETURN (STATUS)",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert!(parse(format!("a LIST \"\" {}", "x".repeat(1025))).is_err());
    assert!(parse(format!("a LIST \"\" ({}x)", "x ".repeat(100))).is_err());
}

#[test]
fn fetch_items_are_read() {
    use FetchItem as I;
    assert_eq!(
        items("a FETCH 1 fast"),
        [I::Flags, I::InternalDate, I::Size]
    );
    assert_eq!(items("a FETCH 1 ALL").last(), Some(&I::Envelope));
    assert_eq!(items("a FETCH 1 FULL").last(), Some(&I::Body));
    assert_eq!(
        items("a UID FETCH 1:* (FLAGS uid Rfc822.Size MODSEQ INTERNALDATE BODY BODYSTRUCTURE)"),
        [
            I::Flags,
            I::Uid,
            I::Size,
            I::ModSeq,
            I::InternalDate,
            I::Body,
            I::BodyStructure
        ]
    );
    assert_eq!(
        items("a FETCH 1 (RFC822 RFC822.HEADER RFC822.TEXT)"),
        [I::Rfc822, I::Rfc822Header, I::Rfc822Text]
    );
    let Command::Fetch(fetch) = ok("a UID FETCH 1:* FLAGS (CHANGEDSINCE 12345)") else {
        panic!("no FETCH");
    };
    assert!(fetch.uid);
    assert_eq!(fetch.changed_since, Some(ModSeq(12345)));
    for bad in [
        "a FETCH",
        "a FETCH 1",
        "a FETCH 1 ()",
        "a FETCH 1 (ALL)",
        "a FETCH 1 FOO",
        "a FETCH x FLAGS",
        "a FETCH 1 FLAGS UID",
        "a FETCH 1 FLAGS (CHANGEDSINCE)",
        "a FETCH 1 FLAGS (VANISHED)",
        "a FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)",
        "a FETCH 1 (FLAGS",
        "a FETCH 1 (FLAGS  UID)",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert!(parse(format!("a FETCH 1 (FLAGS{})", " UID".repeat(100))).is_err());
}

#[test]
fn sections_are_read_and_written_alike() {
    for (sent, echoed) in [
        ("BODY[]", "BODY[]"),
        ("body.peek[]<0.100>", "BODY[]<0>"),
        ("BODY[TEXT]", "BODY[TEXT]"),
        ("BODY.PEEK[header]", "BODY[HEADER]"),
        (
            "BODY.PEEK[HEADER.FIELDS (From \"TO\")]",
            "BODY[HEADER.FIELDS (From TO)]",
        ),
        (
            "BODY[HEADER.FIELDS.NOT (X-Y)]<5.1>",
            "BODY[HEADER.FIELDS.NOT (X-Y)]<5>",
        ),
        ("BODY[1]", "BODY[1]"),
        ("BODY[1.2.3.MIME]", "BODY[1.2.3.MIME]"),
        (
            "BODY[4294967295.HEADER.FIELDS ({4}\r\nFrom)]",
            "BODY[4294967295.HEADER.FIELDS (From)]",
        ),
        ("BODY[1.TEXT]", "BODY[1.TEXT]"),
    ] {
        let item = items(&format!("a FETCH 1 {sent}")).remove(0);
        assert_eq!(item.sets_seen(), !sent.to_lowercase().contains("peek"));
        let mut writer = Writer::new();
        writer.fetch_bytes(&item, b"x");
        assert_eq!(writer.bytes(), format!("{echoed} {{1}}\r\nx").as_bytes());
    }
    for bad in [
        "BODY[",
        "BODY[]<",
        "BODY[]<1>",
        "BODY[]<0.0>",
        "BODY[0]",
        "BODY[1.]",
        "BODY[.1]",
        "BODY[MIME]",
        "BODY[HEADER.FIELDS]",
        "BODY[HEADER.FIELDS ()]",
        "BODY[HEADER.FIELDS (\"a b\")]",
        "BODY[FOO]",
        "BODY[1.FOO]",
        "BODY[4294967296]",
        "BODY.PEEK",
        "BODY[HEADER.FIELDS (\"a\r\nb\")]",
        "BODY[TEXT.1]",
        "BODY[]<4294967296.1>",
    ] {
        assert!(parse(format!("a FETCH 1 {bad}")).is_err(), "{bad}");
    }
    assert!(parse(format!("a FETCH 1 BODY[{}1]", "1.".repeat(100))).is_err());
}

#[test]
fn store_copy_and_move_are_read() {
    let store = |uid, unchanged_since: Option<u64>, mode, silent, words: &[&str]| {
        Command::Store(Store {
            uid,
            set: set("1:3"),
            unchanged_since: unchanged_since.map(ModSeq),
            mode,
            silent,
            flags: flags(words),
        })
    };
    for (text, want) in [
        (
            "a STORE 1:3 FLAGS ()",
            store(false, None, StoreMode::Replace, false, &[]),
        ),
        (
            "a STORE 1:3 +flags (\\sEEN)",
            store(false, None, StoreMode::Add, false, &["\\Seen"]),
        ),
        (
            "a UID STORE 1:3 -FLAGS.SILENT \\Deleted $Junk",
            store(true, None, StoreMode::Remove, true, &["\\Deleted", "$Junk"]),
        ),
        (
            "a STORE 1:3 (UNCHANGEDSINCE 0) FLAGS.SILENT (a)",
            store(false, Some(0), StoreMode::Replace, true, &["a"]),
        ),
        (
            "a COPY 1:3 inbox",
            Command::Copy(Copy {
                uid: false,
                set: set("1:3"),
                mailbox: "INBOX".into(),
            }),
        ),
        (
            "a UID MOVE 1:3 \"a b\"",
            Command::Move(Copy {
                uid: true,
                set: set("1:3"),
                mailbox: "a b".into(),
            }),
        ),
    ] {
        assert_eq!(ok(text), want, "{text}");
    }
    for bad in [
        "a STORE 1",
        "a STORE 1 FLAGS",
        "a STORE 1 FLAG (x)",
        "a STORE 1 *FLAGS (x)",
        "a STORE 1 FLAGS (\\Recent)",
        "a STORE 1 FLAGS (\\*)",
        "a STORE 1 FLAGS (\\Foo)",
        "a STORE 1 FLAGS (x",
        "a STORE 1 (FOO 1) FLAGS (x)",
        "a COPY 1",
        "a COPY 0 x",
        "a UID",
        "a UID NOOP",
        "a UID FOO 1",
        "a UID EXPUNGE",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    let many: String = (0..65).map(|n| format!(" k{n}")).collect();
    assert!(parse(format!("a STORE 1 FLAGS{many}")).is_err());
}

#[test]
fn search_keys_are_read() {
    use SearchKey as K;
    let date = Date::from_calendar(1994, 2, 1).unwrap();
    let text = || "x y".to_owned();
    for (sent, want) in [
        ("ALL", K::All),
        ("unseen", K::Flag(Flag::Seen, false)),
        ("ANSWERED", K::Flag(Flag::Answered, true)),
        ("UNDRAFT", K::Flag(Flag::Draft, false)),
        ("FLAGGED", K::Flag(Flag::Flagged, true)),
        ("UNDELETED", K::Flag(Flag::Deleted, false)),
        (
            "KEYWORD work",
            K::Flag(Flag::keyword("work").unwrap(), true),
        ),
        (
            "UNKEYWORD work",
            K::Flag(Flag::keyword("work").unwrap(), false),
        ),
        ("NEW", K::New),
        ("OLD", K::Old),
        ("RECENT", K::Recent),
        ("BEFORE 1-Feb-1994", K::InternalDate(DateTest::Before, date)),
        ("ON \"1-Feb-1994\"", K::InternalDate(DateTest::On, date)),
        ("SINCE 01-feb-1994", K::InternalDate(DateTest::Since, date)),
        ("SENTBEFORE 1-Feb-1994", K::SentDate(DateTest::Before, date)),
        ("SENTON 1-Feb-1994", K::SentDate(DateTest::On, date)),
        ("SENTSINCE 1-Feb-1994", K::SentDate(DateTest::Since, date)),
        ("LARGER 100", K::Larger(100)),
        ("SMALLER 5000000000", K::Smaller(5_000_000_000)),
        ("FROM \"x y\"", K::From(text())),
        ("TO \"x y\"", K::To(text())),
        ("CC \"x y\"", K::Cc(text())),
        ("BCC \"x y\"", K::Bcc(text())),
        ("SUBJECT {3}\r\nx y", K::Subject(text())),
        ("BODY \"x y\"", K::Body(text())),
        ("TEXT \"x y\"", K::Text(text())),
        (
            "HEADER Message-ID \"\"",
            K::Header {
                name: "Message-ID".into(),
                value: String::new(),
            },
        ),
        ("UID 5,7:*", K::Uid(set("5,7:*"))),
        ("1:*", K::Sequence(set("1:*"))),
        ("*", K::Sequence(set("*"))),
        ("MODSEQ 620162338", K::ModSeq(ModSeq(620_162_338))),
        ("MODSEQ \"/flags/\\\\draft\" all 7", K::ModSeq(ModSeq(7))),
        ("NOT SEEN", K::Not(Box::new(K::Flag(Flag::Seen, true)))),
        (
            "OR ALL NOT NEW",
            K::Or(vec![K::All, K::Not(Box::new(K::New))]),
        ),
        (
            "OR OR ALL NEW or OLD RECENT",
            K::Or(vec![K::All, K::New, K::Old, K::Recent]),
        ),
        (
            "OR ALL (OR NEW OLD) RECENT",
            K::And(vec![
                K::Or(vec![K::All, K::Or(vec![K::New, K::Old])]),
                K::Recent,
            ]),
        ),
        ("(ALL)", K::All),
        ("CHARSET utf-8 TEXT \"ä\"", K::Text("ä".into())),
        (
            "NEW (OLD OR 1 2) ALL",
            K::And(vec![
                K::New,
                K::And(vec![
                    K::Old,
                    K::Or(vec![K::Sequence(set("1")), K::Sequence(set("2"))]),
                ]),
                K::All,
            ]),
        ),
    ] {
        assert_eq!(key(sent), want, "{sent}");
    }
    for bad in [
        "",
        "FOO",
        "NOT",
        "OR ALL",
        "OR OR ALL ALL",
        "OR",
        "()",
        "(ALL",
        "ALL)",
        "BEFORE 30-Feb-1994",
        "LARGER x",
        "KEYWORD \\Seen",
        "FROM",
        "HEADER x",
        "UID",
        "MODSEQ \"x\" foo 1",
        "CHARSET UTF-8",
        "RETURN (SAVE) ALL",
        "RETURN (MIN)",
        "ALL  ALL)",
        "$",
        "MODSEQ 9223372036854775808",
    ] {
        assert!(parse(format!("a SEARCH {bad}")).is_err(), "{bad}");
    }
    assert_eq!(parse("a SEARCH CHARSET KOI8-R ALL"), Err(Problem::Charset));
    assert!(parse(b"a SEARCH TEXT \"\xe4\"").is_err());
    let Command::Search(search) = ok("a UID SEARCH RETURN (MIN COUNT) CHARSET US-ASCII ALL") else {
        panic!("no SEARCH");
    };
    let returns = search.returns.unwrap();
    assert!(search.uid && returns.min && returns.count && !returns.all && !returns.max);
    let Command::Search(search) = ok("a SEARCH RETURN () ALL") else {
        panic!("no SEARCH");
    };
    assert!(search.returns.unwrap().all);
}

#[test]
fn search_nests_to_a_limit() {
    let deep = |open: &str, close: &str, depth: usize| {
        parse(format!(
            "a SEARCH {}ALL{}",
            open.repeat(depth),
            close.repeat(depth)
        ))
    };
    for (open, close) in [("NOT ", ""), ("(", ")"), ("OR NOT ", " ALL")] {
        assert!(deep(open, close, 24).is_ok(), "{open}");
        assert_eq!(deep(open, close, 50), Err(Problem::Depth), "{open}");
        assert_eq!(deep(open, close, 5_000), Err(Problem::Depth), "{open}");
    }
    assert!(deep("(", ")", 49).is_ok());
    for (open, close) in [("OR ALL ", ""), ("OR ", " ALL")] {
        assert!(deep(open, close, 5_000).is_ok(), "{open}");
    }
}

#[test]
fn id_is_bounded() {
    assert_eq!(ok("a ID NIL"), Command::Id(vec![]));
    assert_eq!(ok("a ID ()"), Command::Id(vec![]));
    assert_eq!(
        ok("a ID (\"name\" \"x\" \"os\" nil)"),
        Command::Id(vec![("name".into(), Some("x".into())), ("os".into(), None)])
    );
    for bad in ["a ID", "a ID x", "a ID (\"a\")", "a ID (NIL \"a\")"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert!(parse(format!("a ID ({}\"a\" NIL)", "\"a\" NIL ".repeat(30))).is_err());
    assert!(parse(format!("a ID (\"a\" \"{}\")", "x".repeat(1025))).is_err());
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = Tagged::parse(&bytes);
    }

    #[test]
    fn no_words_panic(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..25)) {
        let _ = Tagged::parse(words.concat().as_bytes());
    }
}

const WORDS: &[&str] = &[
    "a ",
    "UID ",
    "FETCH ",
    "SEARCH ",
    "STORE ",
    "LIST ",
    "STATUS ",
    "CREATE ",
    "APPEND ",
    "ID ",
    "1:*",
    "1,2",
    " ",
    "(",
    ")",
    "[",
    "]",
    "<0.1>",
    "BODY",
    "BODY.PEEK",
    "HEADER.FIELDS ",
    "1.2",
    ".",
    "MIME",
    "\"",
    "\\",
    "\\Seen",
    "{3}\r\n",
    "{3+}\r\n",
    "{99}\r\n",
    "abc",
    "&",
    "&Jjo-",
    "NOT ",
    "OR ",
    "RETURN ",
    "CHARSET ",
    "UTF-8 ",
    "MODSEQ ",
    "1-Feb-1994",
    "FLAGS",
    "+",
    "-",
    "*",
    "%",
    "\0",
    "\r\n",
    "ä",
    "NIL",
    "USE ",
];
