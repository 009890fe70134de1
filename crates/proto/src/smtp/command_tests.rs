//! Command lines, good and bad.

use proptest::prelude::*;

use super::super::parameter::{Auth, Body, Notify, Return};
use super::*;

fn parse(line: &str) -> Result<Command<'_>, Error> {
    Command::parse(line.as_bytes())
}

fn mail_of(line: &str) -> Mail {
    match parse(line) {
        Ok(Command::Mail(mail)) => mail,
        other => panic!("{line}: {other:?}"),
    }
}

fn rcpt_of(line: &str) -> Rcpt {
    match parse(line) {
        Ok(Command::Rcpt(rcpt)) => rcpt,
        other => panic!("{line}: {other:?}"),
    }
}

fn code(line: &str) -> u16 {
    parse(line).expect_err(line).reply().code()
}

#[test]
fn simple_commands() {
    assert_eq!(
        parse("ehlo mx.example.org"),
        Ok(Command::Ehlo("mx.example.org"))
    );
    assert_eq!(parse("HELO  x \t"), Ok(Command::Helo("x")));
    assert_eq!(parse("LHLO [192.0.2.1]"), Ok(Command::Lhlo("[192.0.2.1]")));
    assert_eq!(parse("Data"), Ok(Command::Data));
    assert_eq!(parse("rset "), Ok(Command::Rset));
    assert_eq!(parse("NOOP what ever"), Ok(Command::Noop));
    assert_eq!(parse("VRFY ann"), Ok(Command::Vrfy));
    assert_eq!(parse("EXPN list"), Ok(Command::Expn));
    assert_eq!(parse("HELP"), Ok(Command::Help));
    assert_eq!(parse("QUIT"), Ok(Command::Quit));
    assert_eq!(parse("STARTTLS"), Ok(Command::StartTls));
    assert_eq!(
        parse("BDAT 10"),
        Ok(Command::Bdat {
            size: 10,
            last: false
        })
    );
    assert_eq!(
        parse("BDAT 0 last"),
        Ok(Command::Bdat {
            size: 0,
            last: true
        })
    );
    assert_eq!(
        parse("AUTH PLAIN"),
        Ok(Command::Auth {
            mechanism: "PLAIN",
            initial: None
        })
    );
    assert_eq!(
        parse("auth plain AGEAYg=="),
        Ok(Command::Auth {
            mechanism: "plain",
            initial: Some(b"AGEAYg==")
        })
    );
}

#[test]
fn wrong_arguments() {
    for line in [
        "",
        "FOO",
        "MAILFROM:<a@b>",
        "DATADATADATA x",
        "\u{fc}",
        "GET / HTTP/1.1",
    ] {
        assert_eq!(parse(line), Err(Error::Unknown), "{line}");
    }
    for line in ["DATA\0", "NOOP \u{1}", "MAIL FROM:<a\r@b>", "EHLO a\tb"] {
        assert_eq!(parse(line), Err(Error::BadBytes), "{line:?}");
    }
    assert_eq!(Command::parse(b"NOOP \xff"), Err(Error::BadBytes));
    for line in [
        "EHLO",
        "HELO a b",
        "DATA x",
        "QUIT now",
        "STARTTLS x",
        "RSET x",
        "BDAT",
        "BDAT -1",
        "BDAT x",
        "BDAT 1 LASTLY",
        "BDAT 99999999999999999999",
        "BDAT +1",
        "AUTH",
        "AUTH a b c",
        "MAIL",
        "MAIL <a@b>",
        "MAIL TO:<a@b>",
        "RCPT",
        "RCPT FROM:<a@b>",
    ] {
        assert_eq!(code(line), 501, "{line}");
    }
    let long = format!("EHLO {}", "x".repeat(256));
    assert_eq!(code(&long), 501);
}

#[test]
fn mail_with_all_parameters() {
    let mail = mail_of(
        "mail from: <Ann@Example.org> size=1000 BODY=8bitmime SMTPUTF8 RET=HDRS ENVID=Q+2B1 AUTH=a+2Bb@x.org",
    );
    assert_eq!(mail.reverse_path.unwrap().to_string(), "Ann@example.org");
    let p = mail.parameters;
    assert_eq!(p.size, Some(1000));
    assert_eq!(p.body, Some(Body::EightBitMime));
    assert!(p.smtp_utf8);
    assert_eq!(p.ret, Some(Return::Headers));
    assert_eq!(p.envelope_id.as_deref(), Some("Q+1"));
    let Some(Auth::Mailbox(by)) = p.auth else {
        panic!()
    };
    assert_eq!(by.to_string(), "a+b@x.org");

    let mail = mail_of("MAIL FROM:<> AUTH=<> BODY=BINARYMIME");
    assert_eq!(mail.reverse_path, None);
    assert_eq!(mail.parameters.auth, Some(Auth::Unknown));
    assert_eq!(mail.parameters.body, Some(Body::BinaryMime));
    let huge = mail_of("MAIL FROM:<> SIZE=99999999999999999999");
    assert_eq!(huge.parameters.size, Some(u64::MAX));
}

#[test]
fn mail_refusals() {
    for (line, expected) in [
        ("MAIL FROM:<a@b> SIZE", 501),
        ("MAIL FROM:<a@b> SIZE=", 501),
        ("MAIL FROM:<a@b> SIZE=x", 501),
        ("MAIL FROM:<a@b> SIZE=999999999999999999999", 501),
        ("MAIL FROM:<a@b> SIZE=1 SIZE=1", 501),
        ("MAIL FROM:<a@b> BODY=9BIT", 501),
        ("MAIL FROM:<a@b> SMTPUTF8=1", 501),
        ("MAIL FROM:<a@b> RET=ALL", 501),
        ("MAIL FROM:<a@b> ENVID=a=b", 501),
        ("MAIL FROM:<a@b> AUTH=x", 501),
        ("MAIL FROM:<a@b>SIZE=1", 501),
        ("MAIL FROM:<a@b> NOTIFY=NEVER", 555),
        ("MAIL FROM:<a@b> X", 555),
        ("MAIL FROM:a@b", 501),
        ("MAIL FROM:<a>", 501),
        ("MAIL FROM:<ü@b>", 550),
        ("MAIL FROM:<a@ü.org>", 550),
    ] {
        assert_eq!(code(line), expected, "{line}");
    }
    assert!(mail_of("MAIL FROM:<ü@b> SMTPUTF8").reverse_path.is_some());
    let long = format!("MAIL FROM:<a@b> ENVID={}", "x".repeat(101));
    assert_eq!(code(&long), 501);
}

#[test]
fn rcpt_parameters() {
    let rcpt = rcpt_of("RCPT TO:<a@b> NOTIFY=success,Delay ORCPT=rfc822;a+2Bc@b");
    assert_eq!(rcpt.forward_path.to_string(), "a@b");
    assert_eq!(
        rcpt.parameters.notify,
        Some(Notify::On {
            success: true,
            failure: false,
            delay: true
        })
    );
    let original = rcpt.parameters.original.unwrap();
    assert_eq!((&*original.kind, &*original.address), ("rfc822", "a+2Bc@b"));
    assert_eq!(
        rcpt_of("RCPT TO:<a@b> NOTIFY=NEVER").parameters.notify,
        Some(Notify::Never)
    );
    assert!(
        rcpt_of("RCPT TO:<a@b> ORCPT=utf-8;ü@b")
            .parameters
            .original
            .is_some()
    );
    assert_eq!(
        rcpt_of("RCPT TO:<Postmaster>").forward_path,
        ForwardPath::Postmaster
    );
    for line in [
        "RCPT TO:<a@b> NOTIFY=NEVER,SUCCESS",
        "RCPT TO:<a@b> NOTIFY=,",
        "RCPT TO:<a@b> NOTIFY=",
        "RCPT TO:<a@b> ORCPT=a@b",
        "RCPT TO:<a@b> ORCPT=rfc822;",
        "RCPT TO:<a@b> ORCPT=rfc822;ü@b",
        "RCPT TO:<>",
    ] {
        assert_eq!(code(line), 501, "{line}");
    }
    assert_eq!(code("RCPT TO:<a@b> SIZE=1"), 555);
}

proptest! {
    #[test]
    fn any_line_is_answered(line: Vec<u8>) {
        let _ = Command::parse(&line);
    }

    #[test]
    fn nearly_commands_are_answered(
        verb in "(MAIL FROM:|RCPT TO:|BDAT |AUTH |EHLO |mail from:<|rcpt to:<@)",
        rest in "[<>@a\"\\\\ .,:;=\\[\\]+0-9SIZENOTFYüßRCP]{0,60}",
    ) {
        if let Err(error) = parse(&format!("{verb}{rest}")) {
            prop_assert!((500..=555).contains(&error.reply().code()));
        }
    }
}
