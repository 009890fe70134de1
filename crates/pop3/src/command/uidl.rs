//! UIDL: ids that stay the same over sessions: UIDVALIDITY and UID.

use std::io::Write as _;

use super::NO_SUCH_MESSAGE;
use crate::session::{Session, Step};

pub(crate) fn run(session: &mut Session<'_>, message: Option<u32>) -> Step {
    let Some(maildrop) = &session.maildrop else {
        return Ok(());
    };
    let validity = maildrop.uid_validity;
    match message {
        Some(number) => {
            let entry = maildrop
                .index(number)
                .and_then(|index| maildrop.entry(index));
            match entry.map(|e| e.uid) {
                Some(uid) => session.ok(&format!("{number} {validity}.{uid}")),
                None => return session.wrong(NO_SUCH_MESSAGE),
            }
        }
        None => {
            session.out.extend_from_slice(b"+OK unique ids\r\n");
            for (index, entry) in maildrop.listed(0) {
                // Writing to a Vec cannot fail.
                let _ = write!(session.out, "{} {validity}.{}\r\n", index + 1, entry.uid);
            }
            session.out.extend_from_slice(b".\r\n");
        }
    }
    Ok(())
}
