//! SEARCH over the wire.

use crate::support::World;

const GERMAN: &str = "From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\nSubject: erste\r\n\
Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
Sch=F6ne Gr=FC=\r\n=DFe\r\n";
const NESTED: &str = "From: bob@example.org\r\nSubject: second\r\nMIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Transfer-Encoding: base64\r\n\r\n\
aGlkZGVuIG5lZWRsZQ==\r\n--x\r\nContent-Type: image/png\r\n\r\nnotext\r\n--x\r\n\
Content-Type: message/rfc822\r\n\r\nSubject: =?utf-8?b?w7xiZXI=?=\r\n\r\ndeep\r\n--x--\r\n";

#[tokio::test]
async fn messages_are_found() {
    let world = World::with(&[GERMAN, NESTED]).await;
    let mut imap = world.inbox().await;
    imap.ok("STORE 2 +FLAGS.SILENT (\\Seen $Work)").await;
    for (key, want) in [
        ("ALL", "* SEARCH 1 2"),
        ("UNSEEN", "* SEARCH 1"),
        ("KEYWORD $work", "* SEARCH 2"),
        ("NOT KEYWORD $work", "* SEARCH 1"),
        ("OR SEEN UNSEEN", "* SEARCH 1 2"),
        ("NEW", "* SEARCH 1"),
        ("SUBJECT \"SECOND\"", "* SEARCH 2"),
        ("CHARSET UTF-8 FROM {7+}\r\nJÜRGEN", "* SEARCH 1"),
        ("CHARSET UTF-8 BODY {8+}\r\ngrÜße", "* SEARCH 1"),
        ("BODY \"hidden needle\"", "* SEARCH 2"),
        ("BODY notext", "* SEARCH"),
        ("BODY deep", "* SEARCH 2"),
        ("CHARSET UTF-8 BODY {5+}\r\nÜber", "* SEARCH 2"),
        ("TEXT return-path", "* SEARCH 1 2"),
        ("NOT TEXT erste", "* SEARCH 2"),
        ("HEADER Return-Path a@b", "* SEARCH 1 2"),
        ("UID 2:*", "* SEARCH 2"),
        ("BEFORE 1-Jan-2000", "* SEARCH"),
        ("SENTSINCE 1-Jan-2000", "* SEARCH"),
    ] {
        assert_eq!(imap.ok(&format!("SEARCH {key}")).await, [want], "{key}");
    }
    assert!(
        imap.reply("SEARCH CHARSET KOI8-R ALL")
            .await
            .starts_with("NO [BADCHARSET")
    );
    // The only way to ask for one of many is a chain of ORs.
    let chain = "OR SUBJECT nowhere ".repeat(300);
    let found = imap.ok(&format!("SEARCH {chain}SUBJECT second")).await;
    assert_eq!(found, ["* SEARCH 2"]);
    let left = format!("{}{}", "OR ".repeat(300), "SUBJECT second ".repeat(301));
    let found = imap.ok(&format!("SEARCH {}", left.trim_end())).await;
    assert_eq!(found, ["* SEARCH 2"]);
    let found = imap.run("UID SEARCH RETURN (MIN MAX COUNT ALL) ALL").await;
    assert!(
        found[0].ends_with("UID MIN 1 MAX 2 COUNT 2 ALL 1:2"),
        "{found:?}"
    );
    let found = imap.run("SEARCH RETURN (COUNT) DRAFT").await;
    assert!(found[0].ends_with(" COUNT 0"), "{found:?}");
    world.check().await;
}

#[tokio::test]
async fn a_key_that_is_nested_too_deep_is_refused_and_not_counted() {
    let mut world = World::new().await;
    world.settings.max_bad_commands = 3;
    let mut imap = world.inbox().await;
    let deep = format!("SEARCH {}ALL{}", "(".repeat(60), ")".repeat(60));
    for _ in 0..4 {
        let reply = imap.reply(&deep).await;
        assert!(reply.starts_with("NO [LIMIT] "), "{reply}");
    }
    imap.ok("NOOP").await;
}
