//! USER: the first half of a login. Every name is welcome: which ones exist is
//! nobody's business.

use super::login;
use crate::session::{Session, Step};

pub(crate) fn run(session: &mut Session<'_>, name: String) -> Step {
    if !session.may_log_in() {
        return session.wrong(login::NEEDS_TLS);
    }
    session.user = Some(name);
    session.ok("send PASS");
    Ok(())
}
