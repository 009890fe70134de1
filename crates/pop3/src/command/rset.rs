//! RSET: takes the deletion marks back.

use crate::session::{Session, Step};

pub(crate) fn run(session: &mut Session<'_>) -> Step {
    let Some(maildrop) = &mut session.maildrop else {
        return Ok(());
    };
    maildrop.unmark_all();
    let (messages, octets) = maildrop.total();
    session.ahead.clear();
    session.ok(&format!("{messages} messages ({octets} octets)"));
    Ok(())
}
