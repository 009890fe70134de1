//! STAT: how many messages there are and how large they are together.

use crate::session::{Session, Step};

pub(crate) fn run(session: &mut Session<'_>) -> Step {
    if let Some(maildrop) = &session.maildrop {
        let (messages, octets) = maildrop.total();
        session.ok(&format!("{messages} {octets}"));
    }
    Ok(())
}
