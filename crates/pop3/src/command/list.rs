//! LIST: the sizes of the messages.

use std::io::Write as _;

use super::NO_SUCH_MESSAGE;
use crate::session::{Session, Step};

pub(crate) fn run(session: &mut Session<'_>, message: Option<u32>) -> Step {
    let Some(maildrop) = &session.maildrop else {
        return Ok(());
    };
    match message {
        Some(number) => {
            let entry = maildrop
                .index(number)
                .and_then(|index| maildrop.entry(index));
            match entry.map(|e| e.size) {
                Some(size) => session.ok(&format!("{number} {size}")),
                None => return session.wrong(NO_SUCH_MESSAGE),
            }
        }
        None => {
            let (messages, octets) = maildrop.total();
            // Writing to a Vec cannot fail.
            let _ = write!(session.out, "+OK {messages} messages ({octets} octets)\r\n");
            for (index, entry) in maildrop.listed(0) {
                let _ = write!(session.out, "{} {}\r\n", index + 1, entry.size);
            }
            session.out.extend_from_slice(b".\r\n");
        }
    }
    Ok(())
}
