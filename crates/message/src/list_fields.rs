//! [`ListFieldRemover`]: takes the fields of mailing lists out of a message's header,
//! piece by piece, so that a list can put its own there (RFC 2369 §4: one of each).
//!
//! Holds back the start of one line. All other bytes go on as they came.

/// The fields of RFC 2369, RFC 2919 and RFC 8058, in lower case.
const FIELDS: [&[u8]; 8] = [
    b"list-id",
    b"list-help",
    b"list-subscribe",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
    b"list-post",
    b"list-owner",
    b"list-archive",
];
/// As many bytes decide what a line is: the longest name and white space behind it.
const MAX_HELD: usize = 64;

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// At the start of a line; its bytes are held.
    #[default]
    Start,
    /// Within a line that goes on.
    Keep,
    /// Within one that does not.
    Drop,
    /// Past the header.
    Body,
}

/// Watches one message.
#[derive(Debug, Default)]
pub struct ListFieldRemover {
    state: State,
    held: Vec<u8>,
    /// The last field goes; so do the lines that continue it.
    drops: bool,
}

impl ListFieldRemover {
    /// Takes the next bytes, and appends to `out` what stays of them.
    pub fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        while let Some((&byte, rest)) = piece.split_first() {
            match self.state {
                State::Body => {
                    out.extend_from_slice(piece);
                    return;
                }
                State::Start => {
                    self.held.push(byte);
                    self.decide(byte, out);
                    piece = rest;
                }
                State::Keep | State::Drop => {
                    let end = piece.iter().position(|byte| *byte == b'\n');
                    let (line, rest) = piece.split_at(end.map_or(piece.len(), |end| end + 1));
                    if self.state == State::Keep {
                        out.extend_from_slice(line);
                    }
                    if end.is_some() {
                        self.state = State::Start;
                    }
                    piece = rest;
                }
            }
        }
    }

    /// Whether the header has ended: what follows need not be pushed.
    pub fn is_done(&self) -> bool {
        self.state == State::Body
    }

    /// The message has ended: appends what was held back.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
        self.state = State::Body;
    }

    /// Decides what the line is whose start is held, with `byte` as the last; or waits for
    /// more.
    fn decide(&mut self, byte: u8, out: &mut Vec<u8>) {
        let first = self.held.len() == 1;
        let state = match byte {
            // RFC 5322 §2.2.3: it continues the field before.
            b' ' | b'\t' if first && self.drops => State::Drop,
            b' ' | b'\t' if first => State::Keep,
            b':' => {
                self.drops = self.is_of_list();
                match self.drops {
                    true => State::Drop,
                    false => State::Keep,
                }
            }
            // An empty line, or one that is no field: what follows is the body.
            b'\n' => State::Body,
            _ if self.held.len() >= MAX_HELD => {
                self.drops = false;
                State::Keep
            }
            _ => return,
        };
        match state {
            State::Drop => self.held.clear(),
            _ => out.append(&mut self.held),
        }
        self.state = state;
    }

    fn is_of_list(&self) -> bool {
        let name = self.held.strip_suffix(b":").unwrap_or(&self.held);
        // RFC 5322 §4.5.3: white space may stand before the colon.
        let name = name.trim_ascii_end();
        FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(text: &str, size: usize) -> String {
        let mut remover = ListFieldRemover::default();
        let mut out = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            remover.push(piece, &mut out);
        }
        remover.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_of_lists_go_and_all_else_stays() {
        let long = "x".repeat(200);
        for (text, expected) in [
            (
                "A: b\r\nList-Id: one\r\n\t<a.b>\r\nlist-POST : x\r\nTo: c\r\n d\r\n\r\nList-Id: e\r\n",
                "A: b\r\nTo: c\r\n d\r\n\r\nList-Id: e\r\n",
            ),
            ("List-Unsubscribe-Post: x\r\n", ""),
            ("List-Idea: x\r\n\r\n", "List-Idea: x\r\n\r\n"),
            ("List-Id\r\nList-Id: x\r\n", "List-Id\r\nList-Id: x\r\n"),
            (" a\r\n\r\n", " a\r\n\r\n"),
            ("", ""),
            ("List-I", "List-I"),
            (&long, &long),
        ] {
            for size in [1, 2, 3, 7, 1000] {
                assert_eq!(without(text, size), expected, "{text:?} by {size}");
            }
        }
    }
}
