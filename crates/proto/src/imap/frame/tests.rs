//! Commands in lines and literals, and staying in step with the client.

use super::super::{Command, Login};
use super::*;
use crate::sasl::Secret;

fn reader() -> CommandReader {
    CommandReader::new(Limits {
        command: 200,
        discard: 1000,
    })
}

fn command(frame: Frame) -> Command {
    match frame {
        Frame::Command(tagged) => tagged.command,
        other => panic!("{other:?}"),
    }
}

fn invalid(frame: Frame) -> CommandError {
    match frame {
        Frame::Invalid(error) => error,
        other => panic!("{other:?}"),
    }
}

fn append(frame: Frame) -> Append {
    match frame {
        Frame::Append(append) => append,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_line_ends_in_crlf_or_lf_or_was_stripped() {
    for line in ["a NOOP\r\n", "a NOOP\n", "a NOOP"] {
        assert_eq!(command(reader().line(line.as_bytes())), Command::Noop);
    }
    for line in [
        "a NO\rOP\r\n",
        "a NOOP\r\r\n",
        "a NOOP\0\r\n",
        "a LOGIN x \"a\nb\"\r\n",
    ] {
        let error = invalid(reader().line(line.as_bytes()));
        assert_eq!(error.problem, Problem::ForbiddenByte, "{line:?}");
        assert_eq!(error.tag.unwrap().as_str(), "a");
        assert!(!error.fatal);
    }
    assert_eq!(invalid(reader().line(b"\r\n")).problem, Problem::NoTag);
}

#[test]
fn literals_are_put_in_place() {
    let mut reader = reader();
    let want = Frame::Literal {
        length: 3,
        synchronising: true,
    };
    assert_eq!(reader.line(b"a LOGIN {3}\r\n"), want);
    assert!(reader.in_command());
    assert_eq!(reader.literal(b"a"), 1);
    assert_eq!(reader.literal(b"nn {4+}\r\n"), 2);
    let want = Frame::Literal {
        length: 4,
        synchronising: false,
    };
    assert_eq!(reader.line(b" {4+}\r\n"), want);
    assert_eq!(reader.literal(b"p\r\nw"), 4);
    assert_eq!(reader.literal(b"more"), 0);
    assert_eq!(
        command(reader.line(b"\r\n")),
        Command::Login(Login {
            user: "ann".into(),
            password: Secret::new("p\r\nw"),
        })
    );
    assert!(!reader.in_command());
    assert_eq!(command(reader.line(b"b NOOP")), Command::Noop);
}

#[test]
fn a_literal_of_nothing_is_complete_at_once() {
    let mut reader = reader();
    assert!(matches!(
        reader.line(b"a LOGIN {0}"),
        Frame::Literal { length: 0, .. }
    ));
    assert!(matches!(command(reader.line(b" x")), Command::Login(_)));
}

#[test]
fn an_over_long_literal_is_refused_unread() {
    let mut reader = reader();
    let error = invalid(reader.line(b"a LOGIN {201}\r\n"));
    assert_eq!(error.problem, Problem::TooLong(200));
    assert!(!error.fatal);
    assert_eq!(command(reader.line(b"b NOOP")), Command::Noop);
    assert!(
        invalid(reader.line(b"a LOGIN {99999999999999999999999999}"))
            .tag
            .is_some()
    );
    assert_eq!(command(reader.line(b"b NOOP")), Command::Noop);
}

#[test]
fn an_over_long_literal_that_comes_anyway_is_dropped_with_the_rest() {
    let mut reader = reader();
    assert_eq!(
        reader.line(b"a LOGIN {201+}"),
        Frame::Discard { length: 201 }
    );
    assert_eq!(reader.line(b" {500+}"), Frame::Discard { length: 500 });
    let error = invalid(reader.line(b" x"));
    assert_eq!((error.tag.unwrap().as_str(), error.fatal), ("a", false));
    assert_eq!(command(reader.line(b"b NOOP")), Command::Noop);

    assert_eq!(
        reader.line(b"a LOGIN {201+}"),
        Frame::Discard { length: 201 }
    );
    assert!(!invalid(reader.line(b" {500}")).fatal);
    assert_eq!(command(reader.line(b"b NOOP")), Command::Noop);

    assert_eq!(
        reader.line(b"a LOGIN {201+}"),
        Frame::Discard { length: 201 }
    );
    assert!(invalid(reader.line(b" {900+}")).fatal);
    assert!(invalid(self::reader().line(b"a LOGIN {99999999999999999999+}")).fatal);
}

#[test]
fn a_command_is_bounded_as_a_whole() {
    let mut reader = reader();
    assert!(matches!(
        reader.line(b"a LOGIN {150+}"),
        Frame::Literal { .. }
    ));
    assert_eq!(reader.literal(&[b'x'; 150]), 150);
    assert_eq!(reader.line_limit(), 200 - 150 - 16);
    assert_eq!(reader.line(b" {100+}"), Frame::Discard { length: 100 });
    assert_eq!(invalid(reader.line(b"")).problem, Problem::TooLong(200));
    let long = [b"a NOOP".as_slice(), &[b' '; 300]].concat();
    assert_eq!(invalid(reader.line(&long)).problem, Problem::TooLong(200));
    let error = reader.line_too_long(&long);
    assert!(error.fatal);
    assert_eq!(error.tag.unwrap().as_str(), "a");
}

#[test]
fn append_hands_its_messages_over() {
    let mut reader = reader();
    let first =
        append(reader.line(b"t APPEND inbox (\\Seen $x) \" 1-Jul-1996 02:44:25 -0700\" {310}\r\n"));
    assert_eq!((first.tag.as_str(), first.mailbox.as_str()), ("t", "INBOX"));
    assert_eq!(
        (first.message.length, first.message.synchronising),
        (310, true)
    );
    assert_eq!(first.message.flags.len(), 2);
    assert_eq!(first.message.date.unwrap().zone, -420);
    match reader.line(b" () {99999999999+}\r\n") {
        Frame::AppendNext(next) => {
            assert_eq!((next.length, next.synchronising), (99_999_999_999, false))
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(reader.line(b"\r\n"), Frame::AppendEnd);
    assert_eq!(command(reader.line(b"b NOOP")), Command::Noop);
}

#[test]
fn append_takes_its_mailbox_in_any_string() {
    for name in ["\"a b\"", "a&AOQ-"] {
        append(reader().line(format!("t append {name} {{5+}}").as_bytes()));
    }
    let mut reader = reader();
    assert!(matches!(
        reader.line(b"t APPEND {3}"),
        Frame::Literal { .. }
    ));
    reader.literal(b"a b");
    assert_eq!(append(reader.line(b" {7}")).mailbox, "a b");
}

#[test]
fn append_in_error_takes_no_message() {
    for bad in [
        "t APPEND R&D ",
        "t APPEND x (\\Foo) ",
        "t APPEND x \"1-Foo-1996 00:00:00 +0000\" ",
        "t APPEND x",
        "t APPEND x y ",
        "t APPEND x () () ",
        "t APPEND x ~",
    ] {
        let error = invalid(reader().line(format!("{bad}{{310}}").as_bytes()));
        assert_eq!(error.tag.unwrap().as_str(), "t", "{bad}");
        let mut reader = reader();
        let frame = reader.line(format!("{bad}{{310+}}").as_bytes());
        assert_eq!(frame, Frame::Discard { length: 310 }, "{bad}");
        invalid(reader.line(b""));
        assert_eq!(command(reader.line(b"b NOOP")), Command::Noop);
    }
    invalid(reader().line(b"t APPEND x"));
    let mut reader = reader();
    append(reader.line(b"t APPEND x {1+}"));
    assert_eq!(invalid(reader.line(b"junk")).tag.unwrap().as_str(), "t");
    append(reader.line(b"t APPEND x {1+}"));
    assert_eq!(reader.line(b"junk {5+}"), Frame::Discard { length: 5 });
}

#[test]
fn a_refused_append_is_skipped_where_it_comes_anyway() {
    let mut reader = reader();
    let waiting = append(reader.line(b"t APPEND x {310}")).message;
    assert_eq!(reader.refuse_append(&waiting), None);
    assert_eq!(command(reader.line(b"b NOOP")), Command::Noop);

    let coming = append(reader.line(b"t APPEND x {310+}")).message;
    assert_eq!(
        reader.refuse_append(&coming),
        Some(Frame::Discard { length: 310 })
    );
    assert_eq!(reader.line(b" {10+}"), Frame::Discard { length: 10 });
    assert_eq!(reader.line(b""), Frame::Skipped);
    assert_eq!(command(reader.line(b"b NOOP")), Command::Noop);

    let huge = append(reader.line(b"t APPEND x {310000+}")).message;
    assert!(matches!(reader.refuse_append(&huge), Some(Frame::Invalid(e)) if e.fatal));

    append(reader.line(b"t APPEND x {310+}"));
    reader.skip_append();
    assert_eq!(reader.line(b"\r\n"), Frame::Skipped);
}

#[test]
fn braces_are_no_literals_elsewhere() {
    for line in [
        "a NOOP {}",
        "a NOOP {x}",
        "a NOOP 5}",
        "a NOOP {5",
        "a NOOP {-5}",
    ] {
        invalid(reader().line(line.as_bytes()));
    }
    assert!(is_done(b"done\r\n") && is_done(b"DONE") && !is_done(b"NOT DONE"));
}

proptest::proptest! {
    #[test]
    fn any_lines_keep_the_reader_bounded(
        lines in proptest::collection::vec("(t )?(APPEND |LOGIN |x |)[ -~\\x00\r]{0,30}(\\{[0-9]{1,4}\\+?\\})?", 1..20),
    ) {
        let mut reader = reader();
        for line in lines {
            match reader.line(line.as_bytes()) {
                Frame::Literal { length, .. } => {
                    proptest::prop_assert_eq!(reader.literal(&vec![b'x'; length]), length);
                }
                Frame::Append(append) if append.message.length % 2 == 0 => {
                    reader.refuse_append(&append.message);
                }
                _ => {}
            }
            proptest::prop_assert!(reader.buffer.len() <= 200 + 10);
        }
    }
}
