//! Any line as a POP3 command, and any bytes as a message that is sent: a strict
//! client must find the end of the response at its end and nowhere else.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider_proto::pop3::{Command, Stuffer, TopLines};

fuzz_target!(|data: &[u8]| {
    let _ = Command::parse(data);
    let Some((&cut, message)) = data.split_first() else {
        return;
    };
    let mut whole = Vec::new();
    let mut stuffer = Stuffer::new();
    stuffer.push(message, &mut whole);
    stuffer.finish(&mut whole);
    let mut cut_up = Vec::new();
    let mut stuffer = Stuffer::new();
    for piece in message.chunks(usize::from(cut).max(1)) {
        stuffer.push(piece, &mut cut_up);
    }
    stuffer.finish(&mut cut_up);
    assert_eq!(whole, cut_up);
    // Every LF ends a line, so no line but the last may be a lone dot.
    let mut lines = whole.split_inclusive(|b| *b == b'\n').rev();
    assert_eq!(lines.next(), Some(&b".\r\n"[..]));
    assert!(lines.all(|line| line.ends_with(b"\r\n") && line != b".\r\n"));

    let mut top = TopLines::new(u32::from(cut));
    assert!(top.take(message) <= message.len());
});
