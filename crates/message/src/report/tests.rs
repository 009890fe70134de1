//! Tests of notices: their words and fields, what hostile texts can do (nothing),
//! and that their parts are what they are said to be.

use proptest::prelude::*;

use super::*;
use crate::transfer::{TransferEncoding, decode};
use crate::{Part, Summarizer, Summary};

const HEADER: &[u8] = b"From: Ann <ann@example.org>\r\nSubject: =?utf-8?q?Lunch=3F?=\r\n\
    Message-ID: <1@example.org>\r\n\r\n";
const DAY: u64 = 86_400;
const NOW: Millis = Millis::from_seconds(1_700_000_000);

fn failed() -> Recipient<'static> {
    Recipient {
        original: None,
        address: "bob@example.net",
        action: Action::Failed,
        status: EnhancedStatus(5, 1, 1),
        remote_host: Some("mx.example.net"),
        reply: Some("550 5.1.1 No such user\n550 5.1.1 Try another"),
        last_attempt: Some(NOW),
    }
}

fn notice<'a>(recipients: &'a [Recipient<'a>]) -> Notice<'a> {
    Notice {
        reporting_mta: "mail.example.org",
        envelope_id: Some("e 1"),
        arrival: Millis::from_seconds(NOW.seconds() - 5 * DAY),
        recipients,
        from: "MAILER-DAEMON@mail.example.org",
        to: "ann@example.org",
        message_id: "<n1@mail.example.org>",
        date: NOW,
        smtp_utf8: false,
        header: HEADER,
        returned: Returned::Header,
        random: [7; 16],
    }
}

fn whole(report: &Report, message: &[u8]) -> Vec<u8> {
    [&report.head[..], message, &report.tail].concat()
}

fn summarize(message: &[u8]) -> Summary {
    let mut summarizer = Summarizer::new();
    summarizer.push(message);
    summarizer.finish()
}

fn kind(part: &Part) -> String {
    let kind = [&part.media_type[..], b"/", &part.subtype].concat();
    String::from_utf8(kind).unwrap()
}

/// The type and the decoded body of each of the three parts.
fn parts(message: &[u8]) -> Vec<(String, String)> {
    let root = summarize(message).structure().unwrap();
    assert_eq!(kind(&root), "multipart/report");
    assert_eq!(root.parts.len(), 3);
    let decoded = |part: &Part| {
        let body = &message[part.body_start as usize..part.body_end as usize];
        let encoding = TransferEncoding::parse(part.encoding.as_deref());
        String::from_utf8_lossy(&decode(encoding, body)).into_owned()
    };
    root.parts.iter().map(|p| (kind(p), decoded(p))).collect()
}

fn assert_sendable(report: &Report, message: &[u8]) {
    let text = whole(report, message);
    for line in text.split_inclusive(|b| *b == b'\n') {
        assert!(line.len() <= 1000 && line.ends_with(b"\r\n"));
        assert!(!line[..line.len() - 2].contains(&b'\r'));
    }
    assert!(report.eight_bit || text.is_ascii());
    let header = summarize(&text).header;
    assert!(report.smtp_utf8 || header.is_ascii());
}

#[test]
fn a_failure_is_explained() {
    let recipients = [failed()];
    let report = notice(&recipients).write();
    assert!(!report.eight_bit && !report.smtp_utf8);
    assert_sendable(&report, b"");
    let boundary = "=_07070707070707070707070707070707";
    let want = format!(
        "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n\
         From: Mail delivery <MAILER-DAEMON@mail.example.org>\r\n\
         To: <ann@example.org>\r\n\
         Subject: Your message could not be delivered\r\n\
         Message-ID: <n1@mail.example.org>\r\n\
         In-Reply-To: <1@example.org>\r\n\
         References: <1@example.org>\r\n\
         Auto-Submitted: auto-replied\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\
         \tboundary=\"{boundary}\"\r\n\
         Content-Transfer-Encoding: 7bit\r\n\
         \r\n\
         --{boundary}\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 7bit\r\n\
         \r\n\
         This is the mail server mail.example.org.\r\n\
         \r\n\
         \x20   Subject: Lunch?\r\n\
         \x20   Received: Thu, 9 Nov 2023 22:13:20 +0000\r\n\
         \r\n\
         Your message could not be delivered to the following address. It will\r\n\
         not be tried again.\r\n\
         \r\n\
         <bob@example.net>\r\n\
         \x20   There is no mailbox with this address.\r\n\
         \x20   The server mx.example.net said:\r\n\
         \x20       550 5.1.1 No such user\r\n\
         \x20       550 5.1.1 Try another\r\n\
         \x20   Please check the address for typing errors. If it is right, ask the\r\n\
         \x20   recipient in another way whether it has changed.\r\n\
         \r\n\
         The header of your message is attached.\r\n\
         \r\n\
         --{boundary}\r\n\
         Content-Type: message/delivery-status\r\n\
         \r\n\
         Original-Envelope-Id: e 1\r\n\
         Reporting-MTA: dns; mail.example.org\r\n\
         Arrival-Date: Thu, 9 Nov 2023 22:13:20 +0000\r\n\
         \r\n\
         Final-Recipient: rfc822; bob@example.net\r\n\
         Action: failed\r\n\
         Status: 5.1.1\r\n\
         Remote-MTA: dns; mx.example.net\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 No such user 550 5.1.1 Try another\r\n\
         Last-Attempt-Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n\
         \r\n\
         --{boundary}\r\n\
         Content-Type: text/rfc822-headers\r\n\
         Content-Transfer-Encoding: 7bit\r\n\
         \r\n\
         From: Ann <ann@example.org>\r\n\
         Subject: =?utf-8?q?Lunch=3F?=\r\n\
         Message-ID: <1@example.org>\r\n\
         \r\n\
         --{boundary}--\r\n"
    );
    assert_eq!(String::from_utf8(whole(&report, b"")).unwrap(), want);
}

#[test]
fn each_action_has_its_words_and_fields() {
    let until = Millis::from_seconds(NOW.seconds() + DAY);
    for (action, status, subject, text, field) in [
        (
            Action::Delayed { until },
            EnhancedStatus(4, 4, 1),
            "Your message is delayed",
            "It will be tried until Wed, 15 Nov 2023 22:13:20 +0000.",
            "Action: delayed\r\nStatus: 4.4.1\r\n",
        ),
        (
            Action::Failed,
            EnhancedStatus(4, 4, 7),
            "Your message could not be delivered",
            "It was tried for 5 days without success.",
            "Action: failed\r\nStatus: 4.4.7\r\n",
        ),
        (
            Action::Delivered,
            EnhancedStatus(2, 0, 0),
            "Your message was delivered",
            "Your message was delivered to the following address.",
            "Action: delivered\r\nStatus: 2.0.0\r\n",
        ),
        (
            Action::Relayed,
            EnhancedStatus(2, 0, 0),
            "Your message was passed on",
            "passed on to a server that does not tell",
            "Action: relayed\r\nStatus: 2.0.0\r\n",
        ),
        (
            Action::Expanded,
            EnhancedStatus(2, 0, 0),
            "Your message was passed on",
            "to all who receive mail for the following address.",
            "Action: expanded\r\nStatus: 2.0.0\r\n",
        ),
    ] {
        let recipients = [Recipient {
            action,
            status,
            ..failed()
        }];
        let report = notice(&recipients).write();
        let message = whole(&report, b"");
        let shown = String::from_utf8(message.clone()).unwrap();
        assert!(
            shown.contains(&format!("\r\nSubject: {subject}\r\n")),
            "{shown}"
        );
        let parts = parts(&message);
        let one_line = parts[0].1.replace("\r\n", " ").replace("    ", "");
        assert!(one_line.contains(text), "{shown}");
        assert!(parts[1].1.contains(field), "{shown}");
        let retries = parts[1].1.contains("Will-Retry-Until: Wed, 15 Nov 2023");
        assert_eq!(retries, matches!(action, Action::Delayed { .. }));
    }
}

#[test]
fn several_recipients_are_grouped() {
    let recipients = [
        Recipient {
            action: Action::Delivered,
            status: EnhancedStatus(2, 0, 0),
            address: "ok@example.net",
            ..failed()
        },
        failed(),
        Recipient {
            address: "third@example.net",
            remote_host: None,
            reply: Some("no server of example.net answered"),
            original: Some(OriginalRecipient {
                kind: "rfc822",
                address: "old+2Bx@example.org",
            }),
            ..failed()
        },
    ];
    let message = whole(&notice(&recipients).write(), b"");
    let parts = parts(&message);
    let at = |text: &str| {
        parts[0]
            .1
            .find(text)
            .unwrap_or_else(|| panic!("{}", parts[0].1))
    };
    assert!(at("following addresses") < at("<bob@"));
    assert!(at("<bob@") < at("<third@"));
    assert!(at("<third@") < at("You wrote to old+x@example.org."));
    assert!(at("The reason in detail:") < at("was delivered to"));
    assert!(at("was delivered to") < at("<ok@"));
    let fields = &parts[1].1;
    assert!(fields.contains("\r\n\r\nOriginal-Recipient: rfc822; old+x@example.org\r\nFinal-"));
    assert!(fields.contains("Diagnostic-Code: x-postrider; no server"));
    assert_eq!(fields.matches("\r\n\r\n").count(), 3, "{fields}");
}

#[test]
fn a_whole_message_is_put_between() {
    let recipients = [failed()];
    let message = [HEADER, "ü without an end".as_bytes()].concat();
    for eight_bit in [false, true] {
        let report = Notice {
            returned: Returned::Message { eight_bit },
            ..notice(&recipients)
        }
        .write();
        assert_eq!((report.eight_bit, report.smtp_utf8), (eight_bit, false));
        let sent = whole(&report, &message);
        let root = summarize(&sent).structure().unwrap();
        let part = &root.parts[2];
        assert_eq!(kind(part), "message/rfc822");
        let body = &sent[part.body_start as usize..part.body_end as usize];
        assert_eq!(body, message);
        let label = if eight_bit { "8bit" } else { "7bit" };
        assert_eq!(part.encoding.as_deref(), Some(label.as_bytes()));
        assert_eq!(root.encoding.as_deref(), Some(label.as_bytes()));
    }
}

#[test]
fn utf8_goes_to_those_that_take_it() {
    let recipients = [Recipient {
        original: Some(OriginalRecipient {
            kind: "utf-8",
            address: "jür@example.net",
        }),
        address: "jür@example.net",
        reply: Some("550 kein Empfänger"),
        ..failed()
    }];
    let header = "Subject: Grüße\r\n\r\n".as_bytes();
    let plain = Notice {
        header,
        ..notice(&recipients)
    };
    let report = plain.write();
    assert!(!report.smtp_utf8 && !report.eight_bit);
    assert_sendable(&report, b"");
    let parts_of = |report: &Report| parts(&whole(report, b""));
    let parts = parts_of(&report);
    for text in ["Grüße", "<jür@example.net>", "kein Empfänger"] {
        assert!(parts[0].1.contains(text), "{text}");
    }
    assert_eq!(parts[1].0, "message/delivery-status");
    for field in ["Original", "Final"] {
        let field = format!("{field}-Recipient: utf-8; j\\x{{FC}}r@example.net\r\n");
        assert!(parts[1].1.contains(&field), "{}", parts[1].1);
    }
    assert!(
        parts[1]
            .1
            .contains("Diagnostic-Code: smtp; 550 kein Empf?nger\r\n")
    );
    assert_eq!(
        parts[2],
        ("text/rfc822-headers".into(), "Subject: Grüße\r\n".into())
    );

    let report = Notice {
        smtp_utf8: true,
        ..plain
    }
    .write();
    assert!(report.smtp_utf8 && report.eight_bit);
    assert_sendable(&report, b"");
    let parts = parts_of(&report);
    assert_eq!(parts[1].0, "message/global-delivery-status");
    assert!(
        parts[1]
            .1
            .contains("Final-Recipient: utf-8; jür@example.net\r\n")
    );
    assert!(parts[1].1.contains("550 kein Empfänger\r\n"));
    assert_eq!(
        parts[2],
        ("message/global-headers".into(), "Subject: Grüße\r\n".into())
    );

    let report = Notice {
        smtp_utf8: true,
        returned: Returned::Message { eight_bit: true },
        ..plain
    }
    .write();
    let sent = whole(&report, header);
    let root = summarize(&sent).structure().unwrap();
    assert_eq!(kind(&root.parts[2]), "message/global");

    // A sender with such an address takes UTF-8, and is the one who is told.
    let recipients = [failed()];
    let report = Notice {
        to: "jür@example.org",
        ..notice(&recipients)
    }
    .write();
    assert!(report.smtp_utf8);
    assert_sendable(&report, b"");
}

#[test]
fn odd_headers_are_returned_in_lines_that_fit() {
    let recipients = [failed()];
    let long = format!("Subject: {}\r\n", "x".repeat(5000));
    for (header, want) in [
        (&b""[..], &b""[..]),
        (b"A: b\nC: d", b"A: b\r\nC: d\r\n"),
        (b"A: b\rc\0\r\n", b"A: b\rc\0\r\n"),
        (b"A: \xff\r\n", b"A: \xff\r\n"),
        (long.as_bytes(), long.as_bytes()),
    ] {
        for smtp_utf8 in [false, true] {
            let report = Notice {
                header,
                smtp_utf8,
                ..notice(&recipients)
            }
            .write();
            assert_sendable(&report, b"");
            let parts = parts(&whole(&report, b""));
            assert_eq!(parts[2].0, "text/rfc822-headers");
            assert_eq!(parts[2].1, String::from_utf8_lossy(want));
        }
    }
    let many = b"Received: from a by b\r\n".repeat(10_000);
    let report = Notice {
        header: &many,
        ..notice(&recipients)
    }
    .write();
    let parts = parts(&whole(&report, b""));
    assert!(parts[2].1.len() <= MAX_RETURNED_HEADER);
    assert!(parts[2].1.ends_with("a by b\r\n"));
}

const FIELDS: [&str; 9] = [
    "Date",
    "From",
    "To",
    "Subject",
    "Message-ID",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

proptest! {
    #[test]
    fn hostile_texts_add_nothing(
        texts in prop::collection::vec(
            prop_oneof!["[a-z\r\n:<> ü\u{85}\0\u{2028}-]{0,60}", "(\r\n\r\n|--=_07|Bcc: x\r\n){0,9}", "[a-z]{0,3000}"],
            9,
        ),
        header in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), any::<u8>()], 0..60),
        smtp_utf8: bool,
    ) {
        let recipients = [Recipient {
            original: Some(OriginalRecipient { kind: "rfc822", address: &texts[0] }),
            address: &texts[1],
            remote_host: Some(&texts[2]),
            reply: Some(&texts[3]),
            ..failed()
        }];
        let notice = Notice {
            reporting_mta: &texts[4],
            envelope_id: Some(&texts[5]),
            from: &texts[6],
            to: &texts[7],
            message_id: &texts[8],
            smtp_utf8,
            header: &header,
            ..notice(&recipients)
        };
        let report = notice.write();
        assert_sendable(&report, b"");
        let message = whole(&report, b"");
        let parts = parts(&message);
        // One blank line between the message's fields and the recipient's.
        prop_assert_eq!(parts[1].1.matches("\r\n\r\n").count(), 1, "{}", &parts[1].1);
        let header = summarize(&message).header;
        let names = crate::header::fields(&header).map(|f| String::from_utf8_lossy(f.name).into_owned());
        let strange: Vec<_> = names
            .filter(|n| !FIELDS.contains(&n.as_str()) && n != "In-Reply-To" && n != "References")
            .collect();
        prop_assert_eq!(strange, Vec::<String>::new());
    }
}
