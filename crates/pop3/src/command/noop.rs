//! NOOP.

use crate::session::{Session, Step};

pub(crate) fn run(session: &mut Session<'_>) -> Step {
    session.ok("nothing done");
    Ok(())
}
