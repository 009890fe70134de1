//! DELE: marks a message; it is removed at QUIT.

use postrider_proto::pop3::ErrorCode;

use super::{NO_MAJORITY, NO_SUCH_MESSAGE};
use crate::session::{Session, Step};

pub(crate) fn run(session: &mut Session<'_>, message: u32) -> Step {
    let Some(maildrop) = &mut session.maildrop else {
        return Ok(());
    };
    if session.server.handles.meta.is_stale() {
        // RFC 3206 §4
        session.err(ErrorCode::SysTemp, NO_MAJORITY);
        return Ok(());
    }
    match maildrop.index(message) {
        Some(index) => {
            maildrop.mark(index);
            session.ok("marked for deletion");
            Ok(())
        }
        None => session.wrong(NO_SUCH_MESSAGE),
    }
}
