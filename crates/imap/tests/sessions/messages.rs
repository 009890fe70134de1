//! FETCH, STORE, COPY, MOVE, EXPUNGE, APPEND as one client sees them.

use postrider_meta::QuotaLimit;

use crate::support::{PREFIX, World};

const SIMPLE: &str = "From: Ann <ann@example.test>\r\nTo: bob@example.test\r\n\
Subject: hello\r\nDate: Thu, 29 Feb 2024 12:00:00 +0000\r\nMessage-ID: <1@x>\r\n\r\nline one\r\n";

const MULTI: &str = "Subject: parts\r\nMIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\
Content-Type: text/plain; charset=utf-8\r\n\r\npart one\r\n--b\r\n\
Content-Type: message/rfc822\r\n\r\nSubject: inner\r\nX-A: 1\r\n\r\ninner text\r\n--b--\r\n";

#[tokio::test]
async fn every_fetch_item_is_answered() {
    let world = World::with(&[SIMPLE]).await;
    let mut imap = world.inbox().await;
    let size = PREFIX.len() + SIMPLE.len();
    let header = SIMPLE.split_inclusive("\r\n\r\n").next().unwrap();
    let full_header = format!("{PREFIX}{header}");
    assert_eq!(
        imap.ok("FETCH 1 (UID RFC822.SIZE FLAGS)").await,
        [format!(
            "* 1 FETCH (UID 1 RFC822.SIZE {size} FLAGS (\\Recent))"
        )]
    );
    let address = "((\"Ann\" NIL \"ann\" \"example.test\"))";
    assert_eq!(
        imap.ok("FETCH 1 ENVELOPE").await,
        [format!(
            "* 1 FETCH (ENVELOPE (\"Thu, 29 Feb 2024 12:00:00 +0000\" \"hello\" {address} {address} \
             {address} ((NIL NIL \"bob\" \"example.test\")) NIL NIL NIL \"<1@x>\"))"
        )]
    );
    assert_eq!(
        imap.ok("FETCH 1 BODY.PEEK[]").await,
        [format!("* 1 FETCH (BODY[] {{{size}}}\r\n{PREFIX}{SIMPLE})")]
    );
    assert_eq!(
        imap.ok("FETCH 1 (RFC822.HEADER BODY.PEEK[HEADER])").await,
        [format!(
            "* 1 FETCH (RFC822.HEADER {{{0}}}\r\n{full_header} BODY[HEADER] {{{0}}}\r\n{full_header})",
            full_header.len()
        )]
    );
    assert_eq!(
        imap.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (subject return-path)]")
            .await,
        [
            "* 1 FETCH (BODY[HEADER.FIELDS (subject return-path)] {38}\r\n\
          Return-Path: <a@b>\r\nSubject: hello\r\n\r\n)"
        ]
    );
    let not = imap
        .ok("FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT (From To Date Message-ID)]")
        .await;
    assert!(
        not[0].ends_with("{38}\r\nReturn-Path: <a@b>\r\nSubject: hello\r\n\r\n)"),
        "{not:?}"
    );
    assert_eq!(
        imap.ok("FETCH 1 BODY.PEEK[TEXT]<5.3>").await,
        ["* 1 FETCH (BODY[TEXT]<5> {3}\r\none)"]
    );
    assert_eq!(
        imap.ok("FETCH 1 BODY.PEEK[]<9999.3>").await,
        ["* 1 FETCH (BODY[]<9999> {0}\r\n)"]
    );
    assert_eq!(
        imap.ok("FETCH 1 (BODY.PEEK[1] BODY.PEEK[2])").await,
        ["* 1 FETCH (BODY[1] {10}\r\nline one\r\n BODY[2] NIL)"]
    );
    let full = imap.ok("FETCH 1 FULL").await;
    assert!(
        full[0].contains("INTERNALDATE \"") && full[0].contains("BODY (\"text\" \"plain\""),
        "{full:?}"
    );
    // Nothing so far has set \Seen; this does and says so.
    assert_eq!(
        imap.ok("UID FETCH 1 BODY[TEXT]").await,
        ["* 1 FETCH (UID 1 BODY[TEXT] {10}\r\nline one\r\n FLAGS (\\Seen \\Recent))"]
    );
    assert_eq!(
        imap.ok("FETCH 1 RFC822.TEXT").await,
        ["* 1 FETCH (RFC822.TEXT {10}\r\nline one\r\n)"]
    );
    world.check().await;
}

#[tokio::test]
async fn parts_are_found_by_number() {
    let world = World::with(&[MULTI]).await;
    let mut imap = world.inbox().await;
    let items = "BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[2.HEADER] BODY.PEEK[2.TEXT] \
                 BODY.PEEK[2.1] BODY.PEEK[2.HEADER.FIELDS (X-A)] BODY.PEEK[1.HEADER] BODY.PEEK[3]";
    assert_eq!(
        imap.ok(&format!("FETCH 1 ({items})")).await,
        ["* 1 FETCH (BODY[1] {8}\r\npart one \
          BODY[1.MIME] {43}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n \
          BODY[2.HEADER] {26}\r\nSubject: inner\r\nX-A: 1\r\n\r\n \
          BODY[2.TEXT] {10}\r\ninner text BODY[2.1] {10}\r\ninner text \
          BODY[2.HEADER.FIELDS (X-A)] {10}\r\nX-A: 1\r\n\r\n \
          BODY[1.HEADER] NIL BODY[3] NIL)"]
    );
    let structure = imap.ok("FETCH 1 BODYSTRUCTURE").await;
    assert!(structure[0].contains("\"message\" \"rfc822\"") && structure[0].contains("\"mixed\""));
    world.check().await;
}

#[tokio::test]
async fn sets_of_messages_are_resolved() {
    let world = World::with(&[SIMPLE, SIMPLE, SIMPLE]).await;
    let mut imap = world.inbox().await;
    assert_eq!(
        imap.ok("FETCH *:2 UID").await,
        ["* 2 FETCH (UID 2)", "* 3 FETCH (UID 3)"]
    );
    assert_eq!(
        imap.ok("UID FETCH 9:* FLAGS").await,
        ["* 3 FETCH (UID 3 FLAGS (\\Recent))"]
    );
    assert!(imap.ok("UID FETCH 7,8 FLAGS").await.is_empty());
    assert!(imap.reply("FETCH 4 UID").await.starts_with("BAD "));
    imap.ok("CREATE Empty").await;
    imap.ok("SELECT Empty").await;
    assert!(imap.ok("FETCH 1:* FLAGS").await.is_empty());
    assert!(imap.ok("UID FETCH 1:* FLAGS").await.is_empty());
    assert_eq!(imap.ok("SEARCH ALL").await, ["* SEARCH"]);
    world.check().await;
}

#[tokio::test]
async fn flags_are_stored() {
    let world = World::with(&[SIMPLE, SIMPLE]).await;
    let mut imap = world.inbox().await;
    assert_eq!(
        imap.ok("STORE 1:2 +FLAGS (\\Flagged $New)").await,
        [
            "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $New)",
            "* 1 FETCH (FLAGS (\\Flagged $New \\Recent))",
            "* 2 FETCH (FLAGS (\\Flagged $New \\Recent))",
        ]
    );
    assert!(imap.ok("UID STORE 2 -FLAGS.SILENT $New").await.is_empty());
    assert_eq!(
        imap.ok("FETCH 2 FLAGS").await,
        ["* 2 FETCH (FLAGS (\\Flagged \\Recent))"]
    );
    assert_eq!(
        imap.ok("UID STORE 2 FLAGS (\\Seen)").await,
        ["* 2 FETCH (UID 2 FLAGS (\\Seen \\Recent))"]
    );
    assert!(
        imap.reply("STORE 1 FLAGS (\\Recent)")
            .await
            .starts_with("BAD ")
    );
    assert!(imap.ok("NOOP").await.is_empty());
    world.check().await;
}

#[tokio::test]
async fn conditional_store_fails_where_it_must() {
    let world = World::with(&[SIMPLE, SIMPLE]).await;
    let mut imap = world.login().await;
    let told = imap.ok("SELECT INBOX (CONDSTORE)").await;
    let since = told.iter().find_map(|line| {
        line.strip_prefix("* OK [HIGHESTMODSEQ ")?
            .split(']')
            .next()?
            .parse::<u64>()
            .ok()
    });
    let since = since.unwrap();
    let told = imap.ok("STORE 1 +FLAGS.SILENT (\\Seen)").await;
    let mod_seq = since + 1;
    assert_eq!(told, [format!("* 1 FETCH (MODSEQ ({mod_seq}))")]);
    let all = imap
        .run(&format!(
            "STORE 1:2 (UNCHANGEDSINCE {since}) +FLAGS (\\Deleted)"
        ))
        .await;
    assert_eq!(
        all[0],
        format!(
            "* 2 FETCH (MODSEQ ({}) FLAGS (\\Deleted \\Recent))",
            since + 2
        )
    );
    assert!(all[1].starts_with("OK [MODIFIED 1] "), "{all:?}");
    assert_eq!(
        imap.ok(&format!("FETCH 1:* (FLAGS) (CHANGEDSINCE {mod_seq})"))
            .await,
        [format!(
            "* 2 FETCH (FLAGS (\\Deleted \\Recent) MODSEQ ({}))",
            since + 2
        )]
    );
    assert_eq!(
        imap.ok(&format!("SEARCH MODSEQ {mod_seq}")).await,
        [format!("* SEARCH 1 2 (MODSEQ {})", since + 2)]
    );
    world.check().await;
}

#[tokio::test]
async fn messages_are_copied_and_moved() {
    let world = World::with(&[SIMPLE, SIMPLE, SIMPLE]).await;
    let mut imap = world.inbox().await;
    let reply = imap.reply("COPY 1 Other").await;
    assert!(reply.starts_with("NO [TRYCREATE]"), "{reply}");
    imap.ok("CREATE Other").await;
    let reply = imap.reply("COPY 1:2 Other").await;
    assert!(
        reply.starts_with("OK [COPYUID ") && reply.contains(" 1:2 1:2] "),
        "{reply}"
    );
    let reply = imap.reply("UID COPY 99 Other").await;
    assert_eq!(reply, "OK COPY completed");
    let all = imap.run("MOVE 1,3 Other").await;
    assert!(
        all[0].starts_with("* OK [COPYUID ") && all[0].contains(" 1,3 3:4] "),
        "{all:?}"
    );
    assert_eq!(
        all[1..],
        ["* 3 EXPUNGE", "* 1 EXPUNGE", "OK MOVE completed"]
    );
    assert_eq!(imap.ok("FETCH 1:* UID").await, ["* 1 FETCH (UID 2)"]);
    let status = imap.ok("STATUS Other (MESSAGES)").await;
    assert_eq!(status, ["* STATUS \"Other\" (MESSAGES 4)"]);
    world.check().await;
}

#[tokio::test]
async fn a_copy_is_all_or_none() {
    let world = World::new().await;
    let mut imap = world.login().await;
    for _ in 0..11 {
        let many = format!(" {{{}+}}\r\n{SIMPLE}", SIMPLE.len()).repeat(100);
        let reply = imap.reply(&format!("APPEND INBOX{many}")).await;
        assert!(reply.starts_with("OK [APPENDUID "), "{reply}");
    }
    imap.ok("CREATE Other").await;
    imap.ok("SELECT INBOX").await;
    // Room for the first thousand, not for all.
    world
        .set_quota(QuotaLimit {
            bytes: None,
            messages: Some(2_150),
        })
        .await;
    let reply = imap.reply("COPY 1:* Other").await;
    assert!(reply.starts_with("NO [OVERQUOTA]"), "{reply}");
    assert_eq!(
        imap.ok("STATUS Other (MESSAGES)").await,
        ["* STATUS \"Other\" (MESSAGES 0)"]
    );
    world.set_quota(QuotaLimit::default()).await;
    let reply = imap.reply("COPY 1:* Other").await;
    assert!(reply.contains(" 1:1100 1001:2100] "), "{reply}");
    // More than one batch of each kind.
    let all = imap.ok("FETCH 1:* (UID FLAGS BODY.PEEK[TEXT])").await;
    assert_eq!(all.len(), 1100);
    assert_eq!(
        all[1099],
        "* 1100 FETCH (UID 1100 FLAGS (\\Recent) BODY[TEXT] {10}\r\nline one\r\n)"
    );
    let all = imap.ok("STORE 1:* FLAGS (\\Deleted)").await;
    assert_eq!(all.len(), 1100);
    assert_eq!(imap.ok("SEARCH RETURN (COUNT MIN) DELETED").await.len(), 1);
    let gone = imap.ok("EXPUNGE").await;
    assert_eq!((gone.len(), &gone[1099][..]), (1100, "* 1 EXPUNGE"));
    world.check().await;
}

#[tokio::test]
async fn expunge_removes_what_is_deleted() {
    let world = World::with(&[SIMPLE, SIMPLE, SIMPLE, SIMPLE]).await;
    let mut imap = world.inbox().await;
    imap.ok("STORE 1:3 +FLAGS.SILENT (\\Deleted)").await;
    assert_eq!(imap.ok("UID EXPUNGE 2,4").await, ["* 2 EXPUNGE"]);
    assert_eq!(imap.ok("EXPUNGE").await, ["* 2 EXPUNGE", "* 1 EXPUNGE"]);
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    imap.ok("UNSELECT").await;
    imap.ok("SELECT INBOX").await;
    assert_eq!(imap.ok("SEARCH DELETED").await, ["* SEARCH 1"]);
    assert!(imap.ok("CLOSE").await.is_empty());
    assert_eq!(
        imap.ok("STATUS INBOX (MESSAGES)").await,
        ["* STATUS \"INBOX\" (MESSAGES 0)"]
    );
    world.check().await;
}

#[tokio::test]
async fn appended_messages_keep_flags_and_date() {
    let world = World::new().await;
    let mut imap = world.inbox().await;
    let tag = imap
        .start(&format!(
            "APPEND INBOX (\\Draft) \" 1-Jul-1996 02:44:25 -0700\" {{{}}}",
            SIMPLE.len()
        ))
        .await;
    assert_eq!(imap.response().await, "+ go ahead");
    imap.send(SIMPLE.as_bytes()).await;
    imap.send(b"\r\n").await;
    let all = imap.until(&tag).await;
    assert_eq!(all[..2], ["* 1 EXISTS", "* 1 RECENT"]);
    assert!(
        all[2].starts_with("OK [APPENDUID ") && all[2].contains(" 1] "),
        "{all:?}"
    );
    assert_eq!(
        imap.ok("FETCH 1 (FLAGS INTERNALDATE)").await,
        ["* 1 FETCH (FLAGS (\\Draft \\Recent) INTERNALDATE \" 1-Jul-1996 02:44:25 -0700\")"]
    );
    for (message, code) in [("a\0b", "NO [CANNOT]"), ("", "NO [CANNOT]")] {
        let reply = imap.append("INBOX", message).await;
        assert!(reply.starts_with(code), "{reply}");
    }
    assert!(imap.ok("NOOP").await.is_empty());
    world.check().await;
}

/// A message of about `megabytes` whose every line differs.
fn large(megabytes: usize) -> String {
    let mut text = String::from("Subject: large\r\n\r\n");
    let mut number = 0;
    while text.len() < megabytes << 20 {
        text.push_str(&format!("{number:0>70}\r\n"));
        number += 1;
    }
    text
}

#[tokio::test]
async fn a_large_message_streams_in_and_out() {
    let world = World::new().await;
    let message = large(5);
    let mut imap = world.inbox().await;
    let reply = imap.append("INBOX", &message).await;
    assert!(reply.starts_with("OK [APPENDUID "), "{reply}");
    assert_eq!(
        imap.ok("FETCH 1 BODY[]").await.last().unwrap(),
        &format!(
            "* 1 FETCH (BODY[] {{{}}}\r\n{message} FLAGS (\\Seen \\Recent))",
            message.len()
        )
    );
    let (start, length) = (1_000_003, 300_000);
    assert_eq!(
        imap.ok(&format!(
            "FETCH 1 (UID BODY.PEEK[]<{start}.{length}> BODY.PEEK[TEXT]<3.5>)"
        ))
        .await,
        [format!(
            "* 1 FETCH (UID 1 BODY[]<{start}> {{{length}}}\r\n{} BODY[TEXT]<3> {{5}}\r\n00000)",
            &message[start..start + length]
        )]
    );
    assert_eq!(
        imap.ok("SEARCH BODY 00000000000071000").await,
        ["* SEARCH 1"]
    );
    assert_eq!(imap.ok("SEARCH BODY 00000000000991000").await, ["* SEARCH"]);
    world.check().await;
}

#[tokio::test]
async fn every_field_of_a_long_header_is_told() {
    let world = World::new().await;
    let mut imap = world.inbox().await;
    let line = |n: usize| format!("X-P: {n:0>1000}\r\n");
    let many: String = (0..300).map(line).collect();
    let to: String = (0..12_000)
        .map(|n| format!(",\r\n r{n:0>6}@example.org"))
        .collect();
    let rest = "Subject: late\r\nX-Last: y\r\n";
    let message = format!("{many}To: first@x{to}\r\n{rest}\r\nbody\r\n");
    let outer = format!("Content-Type: message/rfc822\r\n\r\n{message}");
    world.deliver(&message).await;
    assert!(imap.append("INBOX", &outer).await.starts_with("OK "));
    let fields = |names: &str, part: &str| format!("BODY.PEEK[{part}HEADER.FIELDS{names}]");
    let literal = |text: &str| format!("{{{}}}\r\n{text})", text.len());
    for (number, part, prefix) in [(1, "", PREFIX), (2, "1.", "")] {
        for (names, want) in [
            (" (SUBJECT X-Last)", format!("{rest}\r\n")),
            (
                " (Return-Path x-last)",
                format!("{prefix}X-Last: y\r\n\r\n"),
            ),
            (" (X-P X-Last)", format!("{many}X-Last: y\r\n\r\n")),
            (".NOT (TO)", format!("{prefix}{many}{rest}\r\n")),
            (".NOT (X-P TO)", format!("{prefix}{rest}\r\n")),
        ] {
            let told = imap
                .ok(&format!("FETCH {number} {}", fields(names, part)))
                .await;
            assert!(told[0].ends_with(&literal(&want)), "{number} {names}");
        }
        let item = fields(" (X-P X-Last)", part);
        let told = imap
            .ok(&format!("FETCH {number} {item}<280000.20000>"))
            .await;
        let want = format!("{many}X-Last: y\r\n\r\n");
        assert!(
            told[0].ends_with(&literal(&want[280_000..300_000])),
            "{number}"
        );
    }
    let told = imap.ok("FETCH 1 ENVELOPE").await;
    assert!(told[0].starts_with("* 1 FETCH (ENVELOPE (NIL \"late\" NIL "));
    assert_eq!(imap.ok("SEARCH SUBJECT late").await, ["* SEARCH 1"]);
    world.check().await;
}

#[tokio::test]
async fn a_body_that_is_away_is_told_before_any_literal() {
    let world = World::with_inline(0).await;
    let mut imap = world.inbox().await;
    for message in [SIMPLE, &large(1)] {
        assert!(imap.append("INBOX", message).await.starts_with("OK "));
    }
    std::fs::rename(world.objects(), world.path().join("away")).unwrap();
    std::fs::write(world.objects(), "no folder").unwrap();
    for command in ["FETCH 1 BODY[]", "FETCH 2 BODY[]", "SEARCH TEXT nowhere"] {
        let all = imap.run(command).await;
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(all[0].starts_with("NO [UNAVAILABLE]"), "{command}: {all:?}");
    }
    // Listing reads no body.
    let all = imap
        .ok("FETCH 1:* (FLAGS ENVELOPE BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        .await;
    assert_eq!(all.len(), 2);
    std::fs::remove_file(world.objects()).unwrap();
    std::fs::rename(world.path().join("away"), world.objects()).unwrap();
    world.check().await;
}

#[tokio::test]
async fn what_was_answered_is_not_held_back_while_a_literal_comes() {
    let world = World::new().await;
    let mut imap = world.login().await;
    imap.send(b"a NOOP\r\nb APPEND INBOX {20+}\r\nSubj").await;
    assert_eq!(imap.response().await, "a OK NOOP completed");
    imap.send(b"ect: x\r\n\r\nbody\r\n\r\nc NOOP\r\nd SELECT {5+}\r\nIN")
        .await;
    assert!(imap.response().await.starts_with("b OK "));
    assert_eq!(imap.response().await, "c OK NOOP completed");
    imap.send(b"BOX\r\n").await;
    assert!(imap.until("d").await.last().unwrap().starts_with("OK "));
    world.check().await;
}
