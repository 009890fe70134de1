//! TOP: the header of a message and the first lines of its body.

use postrider_proto::pop3::TopLines;

use super::send::{self, Part};
use crate::session::{Session, Step};

pub(crate) async fn run(session: &mut Session<'_>, message: u32, lines: u32) -> Step {
    send::run(session, message, Part::Top(TopLines::new(lines))).await
}
