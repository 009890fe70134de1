//! Headers that come in pieces of any size.

use super::*;

fn missing() -> Option<Missing> {
    Some(Missing {
        date: "Date: D\r\n".into(),
        message_id: "Message-ID: M\r\n".into(),
    })
}

/// Through a header in pieces of every size.
fn pass(text: &str, add: bool) -> (String, Header) {
    let run = |step: usize| {
        let mut header = Header::new(if add { missing() } else { None });
        header.keep(30);
        let mut out = Vec::new();
        for piece in text.as_bytes().chunks(step) {
            header.push(piece, &mut out);
        }
        header.finish(&mut out);
        assert_eq!(header.start(), &out[..out.len().min(30)]);
        (String::from_utf8(out).unwrap(), header)
    };
    let whole = run(text.len().max(1));
    for step in 1..text.len().min(50) {
        let (out, header) = run(step);
        assert_eq!(out, whole.0, "step {step}");
        assert_eq!(header.hops, whole.1.hops);
        assert_eq!(header.delivered_to, whole.1.delivered_to);
    }
    whole
}

#[test]
fn nothing_changes_where_nothing_is_added() {
    for text in [
        "Subject: x\r\n y\r\n\r\nbody\r\n",
        "A: 1\r\nno field\r\n",
        ">From ann Mon 12:30:00\r\nSubject: x\r\n\r\n",
        "\r\nbody",
        "",
        "From ann Mon 12:30:00\r\nSubject: x\r\n\r\n",
        "a:b",
    ] {
        assert_eq!(pass(text, false).0, text);
    }
}

#[test]
fn a_text_without_a_header_becomes_the_body() {
    for text in ["hello there\r\n", "Subject\r\n", "Subject", " x\r\n"] {
        assert_eq!(pass(text, false).0, format!("\r\n{text}"));
    }
}

#[test]
fn missing_fields_are_added_at_the_end_of_the_header() {
    for (text, expected) in [
        (
            "A: 1\r\n\r\nDate: no\r\n",
            "A: 1\r\nDate: D\r\nMessage-ID: M\r\n\r\nDate: no\r\n",
        ),
        ("dAte : 1\r\n\r\nb", "dAte : 1\r\nMessage-ID: M\r\n\r\nb"),
        (
            "message-id: 1\r\n\r\nb",
            "message-id: 1\r\nDate: D\r\n\r\nb",
        ),
        (
            "Date: 1\r\nMessage-ID: 2\r\n\r\nb",
            "Date: 1\r\nMessage-ID: 2\r\n\r\nb",
        ),
        ("A: 1\r\n", "A: 1\r\nDate: D\r\nMessage-ID: M\r\n"),
        ("\r\nb", "Date: D\r\nMessage-ID: M\r\n\r\nb"),
        (
            "hello you\r\n",
            "Date: D\r\nMessage-ID: M\r\n\r\nhello you\r\n",
        ),
        (
            "A: 1\r\nhello\r\n",
            "A: 1\r\nDate: D\r\nMessage-ID: M\r\n\r\nhello\r\n",
        ),
        (" x\r\n", "Date: D\r\nMessage-ID: M\r\n\r\n x\r\n"),
        (
            "A: 1\r\n Date: x\r\n\r\n",
            "A: 1\r\n Date: x\r\nDate: D\r\nMessage-ID: M\r\n\r\n",
        ),
        ("", "Date: D\r\nMessage-ID: M\r\n"),
    ] {
        assert_eq!(pass(text, true).0, expected);
    }
}

#[test]
fn hops_and_deliveries_are_noted() {
    let text = "Received: a\r\n\tb\r\nreceived: c\r\nDelivered-To: Ann@Example.org\r\nX: Received: \r\n\r\nReceived: d\r\n";
    let (_, header) = pass(text, false);
    assert_eq!(header.hops(), 2);
    assert!(header.was_delivered_to("ann@example.org"));
    assert!(!header.was_delivered_to("bob@example.org"));
    assert!(!header.tls_optional());
}

#[test]
fn a_sender_may_waive_tls() {
    for (text, waives) in [
        ("TLS-Required: No\r\n\r\n", true),
        ("tls-required:no\r\n\r\n", true),
        ("TLS-Required: Yes\r\n\r\n", false),
        ("TLS-Required: No, really\r\n\r\n", false),
        ("Subject: x\r\n\r\nTLS-Required: No\r\n", false),
    ] {
        assert_eq!(pass(text, false).1.tls_optional(), waives, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn bytes_are_added_but_never_lost(text in "[a:A \\r\\n\\t]{0,40}", step in 1usize..9) {
        for add in [false, true] {
            let mut header = Header::new(if add { missing() } else { None });
            let mut out = Vec::new();
            for piece in text.as_bytes().chunks(step) {
                header.push(piece, &mut out);
            }
            header.finish(&mut out);
            let out = String::from_utf8(out).unwrap();
            let added = "Date: D\r\nMessage-ID: M\r\n";
            let separated = format!("{added}\r\n");
            let kept = [out.replacen(added, "", 1), out.replacen(&separated, "", 1)];
            let is_kept = kept.iter().any(|k| *k == text || k.strip_prefix("\r\n") == Some(&text));
            proptest::prop_assert!(is_kept, "{text:?} became {out:?}");
            proptest::prop_assert_eq!(out.contains(added), add);
        }
    }
}

#[test]
fn a_huge_line_is_not_held() {
    let mut header = Header::new(None);
    let mut out = Vec::new();
    header.push(&vec![b'x'; 100_000], &mut out);
    assert_eq!(out.len(), 2 + 100_000);
    let mut header = Header::new(None);
    header.push(b"Delivered-To:", &mut out);
    header.push(&vec![b'x'; 100_000], &mut out);
    assert!(header.value.is_some_and(|(_, v)| v.len() <= MAX_VALUE));
}

#[test]
fn lists_are_known_by_their_ids_however_they_are_written() {
    let text = "List-Id: \"Some <b>\"\r\n\t<News.Example.test>\r\nlist-id : plain.test\r\n\r\n";
    let (_, header) = pass(text, false);
    assert!(header.came_by_list("news.example.test"));
    assert!(header.came_by_list("plain.test"));
    assert!(!header.came_by_list("b"));
    let (_, header) = pass("Subject: x\r\n\r\nList-Id: <news.example.test>\r\n", false);
    assert!(!header.came_by_list("news.example.test"), "in the body");
    let (_, header) = pass("List-Id: <news.example.test>\r\n", false);
    assert!(header.came_by_list("news.example.test"), "no body");
}

#[test]
fn automatic_replies_are_known() {
    for (value, is_reply) in [
        ("auto-replied", true),
        ("Auto-Replied (on vacation)", true),
        ("\r\n auto-replied; owner-email=\"x@y.test\"", true),
        ("no", false),
        ("auto-generated", false),
        ("auto-repliedly", false),
        ("", false),
    ] {
        let (_, header) = pass(&format!("Auto-Submitted: {value}\r\n\r\n"), false);
        assert_eq!(header.is_automatic_reply(), is_reply, "{value}");
    }
}
