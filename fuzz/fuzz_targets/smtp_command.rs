//! SMTP command lines, SASL lines and message content. Beyond not panicking:
//! an address that was read is written so that it reads the same, a refusal has
//! a reply, and content means the same however the network cut it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider_proto::sasl::{Exchange, Mechanism};
use postrider_proto::smtp::{Command, Content, ForwardPath, Mailbox, Piece, Violation};

fuzz_target!(|input: &[u8]| {
    for line in input.split(|&b| b == b'\n') {
        command(line);
        sasl(line);
    }
    content(input);
});

fn command(line: &[u8]) {
    match Command::parse(line) {
        Ok(Command::Mail(mail)) => mail.reverse_path.iter().for_each(round_trip),
        Ok(Command::Rcpt(rcpt)) => {
            if let ForwardPath::Mailbox(mailbox) = &rcpt.forward_path {
                round_trip(mailbox);
            }
        }
        Ok(_) => {}
        Err(error) => {
            let mut out = Vec::new();
            error.reply().write_to(&mut out);
            assert!(out.ends_with(b"\r\n") && out.len() <= 512);
            assert_eq!(out.iter().filter(|&&b| b == b'\n').count(), 1);
        }
    }
}

fn round_trip(mailbox: &Mailbox) {
    assert_eq!(Mailbox::parse(&mailbox.to_string()).as_ref(), Ok(mailbox));
}

fn sasl(line: &[u8]) {
    for mechanism in Mechanism::ALL {
        if let Ok((mut exchange, _)) = Exchange::start(mechanism, Some(line)) {
            let _ = exchange.respond(line);
        }
    }
}

/// Text, place of the end, violation; the input in pieces of `step` bytes.
fn read(input: &[u8], step: usize) -> (Vec<u8>, Option<usize>, Option<Violation>) {
    let mut content = Content::data(100);
    let (mut text, mut taken) = (Vec::new(), 0);
    for chunk in input.chunks(step) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let (used, piece) = content.next(rest);
            taken += used;
            rest = &rest[used..];
            match piece {
                Piece::Text(piece) => text.extend_from_slice(piece),
                Piece::End => return (text, Some(taken), content.violation()),
            }
        }
    }
    (text, None, content.violation())
}

fn content(input: &[u8]) {
    if input.is_empty() {
        return;
    }
    let whole = read(input, input.len());
    for step in [1, 2, 3, 7] {
        assert_eq!(read(input, step), whole, "pieces of {step}");
    }
    let end = if input.starts_with(b".\r\n") {
        Some(3)
    } else {
        input.windows(5).position(|w| w == b"\r\n.\r\n").map(|at| at + 5)
    };
    assert_eq!(whole.1, end);
}
