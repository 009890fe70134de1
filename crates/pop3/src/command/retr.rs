//! RETR: a whole message.

use super::send::{self, Part};
use crate::session::{Session, Step};

pub(crate) async fn run(session: &mut Session<'_>, message: u32) -> Step {
    send::run(session, message, Part::Whole).await
}
