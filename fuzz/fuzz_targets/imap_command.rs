//! What an IMAP client may send: lines and literals through the command reader,
//! as a session feeds them, with the reply to each error. Looks for panics,
//! unbounded memory and values that are not written back as they were read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider_proto::imap::{
    Command, CommandReader, FetchItem, Frame, Limits, SequenceSet, Writer, mutf7,
};

const LIMITS: Limits = Limits {
    command: 4096,
    discard: 100_000,
};

/// Takes a line with its line end off the front of `input`.
fn take_line<'a>(input: &mut &'a [u8]) -> &'a [u8] {
    let end = input
        .iter()
        .position(|&b| b == b'\n')
        .map_or(input.len(), |at| at + 1);
    take(input, end)
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(count.min(input.len()));
    *input = rest;
    taken
}

fn take_long<'a>(input: &mut &'a [u8], count: u64) -> &'a [u8] {
    take(input, usize::try_from(count).unwrap_or(usize::MAX))
}

fn check_set(set: &SequenceSet) {
    let resolved = set.resolve(100);
    assert!(
        resolved
            .iter()
            .all(|r| *r.start() >= 1 && r.start() <= r.end())
    );
    assert!(
        resolved
            .windows(2)
            .all(|w| u64::from(*w[0].end()) + 1 < u64::from(*w[1].start()))
    );
}

fn check_mailbox(name: &str) {
    let mut encoded = Vec::new();
    mutf7::encode(name, &mut encoded);
    assert_eq!(mutf7::decode(&encoded).as_deref(), Ok(name));
}

fn check(command: &Command, writer: &mut Writer) {
    match command {
        Command::Fetch(fetch) => {
            check_set(&fetch.set);
            for item in &fetch.items {
                if let FetchItem::Section(_) = item {
                    check_section(item, writer);
                }
            }
        }
        Command::Store(store) => check_set(&store.set),
        Command::Copy(copy) | Command::Move(copy) => {
            check_set(&copy.set);
            check_mailbox(&copy.mailbox);
        }
        Command::Expunge(Some(set)) => check_set(set),
        Command::Select(select) => check_mailbox(&select.mailbox),
        Command::List(list) => {
            for pattern in &list.patterns {
                let _ = pattern.within(&list.reference).matches("INBOX/a/bc");
            }
        }
        _ => {}
    }
}

/// What is echoed of a section is read again as the same section.
fn check_section(item: &FetchItem, writer: &mut Writer) {
    writer.clear(4096);
    writer.fetch_start(1);
    writer.fetch_nil(item);
    let text = String::from_utf8(writer.take()).expect("a section is ASCII");
    let echoed = text
        .strip_prefix("* 1 FETCH (")
        .and_then(|t| t.strip_suffix(" NIL"))
        .expect("one item");
    let (section, offset) = match echoed.rsplit_once('<') {
        Some((section, offset)) if !offset.contains(']') => (section, Some(offset)),
        _ => (echoed, None),
    };
    let again = match offset {
        Some(offset) => format!("a FETCH 1 {section}<{}.1>", offset.trim_end_matches('>')),
        None => format!("a FETCH 1 {section}"),
    };
    let frame = CommandReader::new(Limits::default()).line(again.as_bytes());
    let Frame::Command(tagged) = frame else {
        panic!("{again}: {frame:?}");
    };
    let Command::Fetch(fetch) = tagged.command else {
        panic!("{again} is no FETCH");
    };
    let (Some(FetchItem::Section(a)), FetchItem::Section(b)) = (fetch.items.first(), item) else {
        panic!("{again} is no section");
    };
    assert_eq!(a.section, b.section);
}

fuzz_target!(|data: &[u8]| {
    let mut input = data;
    let mut reader = CommandReader::new(LIMITS);
    let mut writer = Writer::new();
    while !input.is_empty() {
        let line = take_line(&mut input);
        if line.len() > reader.line_limit() + 2 {
            writer.error(&reader.line_too_long(line));
            return;
        }
        match reader.line(line) {
            Frame::Command(tagged) => check(&tagged.command, &mut writer),
            Frame::Literal { length, .. } => {
                assert!(length <= LIMITS.command);
                let bytes = take(&mut input, length);
                if bytes.len() < length {
                    return;
                }
                assert_eq!(reader.literal(bytes), length);
            }
            Frame::Append(append) => {
                check_mailbox(&append.mailbox);
                if append.message.length % 2 == 0 {
                    match reader.refuse_append(&append.message) {
                        Some(Frame::Discard { length }) => drop(take_long(&mut input, length)),
                        Some(_) => return,
                        None => {}
                    }
                } else {
                    take_long(&mut input, append.message.length);
                }
            }
            Frame::AppendNext(message) => drop(take_long(&mut input, message.length)),
            Frame::Discard { length } => drop(take_long(&mut input, length)),
            Frame::AppendEnd | Frame::Skipped => {}
            Frame::Invalid(error) => {
                writer.clear(4096);
                writer.error(&error);
                assert!(writer.bytes().is_ascii() && writer.bytes().ends_with(b"\r\n"));
                if error.fatal {
                    return;
                }
            }
        }
    }
});
