//! What the client writes is what the server reads.

use proptest::prelude::*;

use super::*;
use crate::smtp::{Command, OriginalRecipient};

fn written(request: Request<'_>) -> Result<String, RequestError> {
    let mut out = Vec::new();
    request.write_to(&mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn mail(path: Option<&str>) -> Result<String, RequestError> {
    written(Request::Mail {
        reverse_path: path,
        parameters: &MailParameters::default(),
    })
}

#[test]
fn commands_are_written() {
    for (request, line) in [
        (Request::Ehlo("mx.example.org"), "EHLO mx.example.org\r\n"),
        (Request::Helo("[192.0.2.1]"), "HELO [192.0.2.1]\r\n"),
        (Request::StartTls, "STARTTLS\r\n"),
        (
            Request::Auth {
                mechanism: "PLAIN",
                initial: Some("AGEAYg=="),
            },
            "AUTH PLAIN AGEAYg==\r\n",
        ),
        (Request::SaslLine("YQ=="), "YQ==\r\n"),
        (Request::Data, "DATA\r\n"),
        (
            Request::Bdat {
                size: 7,
                last: false,
            },
            "BDAT 7\r\n",
        ),
        (
            Request::Bdat {
                size: 0,
                last: true,
            },
            "BDAT 0 LAST\r\n",
        ),
        (Request::Rset, "RSET\r\n"),
        (Request::Quit, "QUIT\r\n"),
    ] {
        assert_eq!(written(request).as_deref(), Ok(line));
    }
    assert_eq!(mail(None).as_deref(), Ok("MAIL FROM:<>\r\n"));
}

#[test]
fn all_parameters_come_back() {
    let parameters = MailParameters {
        size: Some(12),
        body: Some(Body::EightBitMime),
        smtp_utf8: true,
        require_tls: true,
        ret: Some(Return::Headers),
        envelope_id: Some("a+b = c".into()),
        auth: None,
    };
    let line = written(Request::Mail {
        reverse_path: Some("\"a b\"@example.org"),
        parameters: &parameters,
    });
    let line = line.unwrap();
    let Ok(Command::Mail(mail)) = Command::parse(line.trim_end().as_bytes()) else {
        panic!("{line}");
    };
    assert_eq!(mail.parameters, parameters);
    assert_eq!(mail.reverse_path.unwrap().local(), "a b");

    for notify in [
        Notify::Never,
        Notify::On {
            success: true,
            failure: false,
            delay: true,
        },
    ] {
        let parameters = RcptParameters {
            notify: Some(notify),
            original: Some(OriginalRecipient {
                kind: "rfc822".into(),
                address: "a+2Bb@example.org".into(),
            }),
        };
        let line = written(Request::Rcpt {
            forward_path: "ann@example.org",
            parameters: &parameters,
        });
        let line = line.unwrap();
        let Ok(Command::Rcpt(rcpt)) = Command::parse(line.trim_end().as_bytes()) else {
            panic!("{line}");
        };
        assert_eq!(rcpt.parameters, parameters);
    }
}

#[test]
fn require_tls_and_unicode_recipients_are_written_in_ascii() {
    let line = written(Request::Mail {
        reverse_path: None,
        parameters: &MailParameters {
            require_tls: true,
            ..MailParameters::default()
        },
    });
    assert_eq!(line.as_deref(), Ok("MAIL FROM:<> REQUIRETLS\r\n"));
    let parameters = RcptParameters {
        notify: None,
        original: Some(OriginalRecipient {
            kind: "utf-8".into(),
            address: "jürgen@example.org".into(),
        }),
    };
    let line = written(Request::Rcpt {
        forward_path: "a@example.org",
        parameters: &parameters,
    });
    let expected = "RCPT TO:<a@example.org> ORCPT=utf-8;j\\x{FC}rgen@example.org\r\n";
    assert_eq!(line.as_deref(), Ok(expected));
}

#[test]
fn nothing_that_could_be_a_second_command_is_written() {
    for path in [
        "a@b.example>\r\nDATA",
        "a@b.example> SIZE=1",
        "a@b.example\r\n",
        "a@b.example\n",
        "a b@c.example",
        "\"a\r\nDATA\"@b.example",
        "a@b.example\0",
        "a",
        "",
        "@",
        "<a@b.example>",
    ] {
        assert!(mail(Some(path)).is_err(), "{path:?}");
    }
    for name in ["", "a b", "a\r\nQUIT", "a\nb", "a\0"] {
        assert!(written(Request::Ehlo(name)).is_err(), "{name:?}");
    }
    assert_eq!(
        written(Request::SaslLine(&"A".repeat(20_000))),
        Err(RequestError::TooLong)
    );
}

proptest! {
    #[test]
    fn any_path_makes_one_line_that_says_the_same(path in "[a\"\\\\@<> .\r\n\0é\\[\\]:-]{0,12}(@b\\.example)?") {
        if let Ok(line) = mail(Some(&path)) {
            prop_assert_eq!(line.matches(['\r', '\n']).count(), 2);
            prop_assert!(line.ends_with("\r\n"));
            let parameter = line.trim_end_matches("\r\n").to_owned() + " SMTPUTF8";
            prop_assert!(matches!(Command::parse(parameter.as_bytes()), Ok(Command::Mail(_))), "{}", line);
        }
    }
}
