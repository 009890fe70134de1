//! CLOSE (RFC 3501 §6.4.2), UNSELECT (RFC 3691), and the end of a selection.

use super::expunge;
use crate::error::{Fail, Reply};
use crate::session::Session;

pub(super) async fn run(session: &mut Session) -> Result<Reply, Fail> {
    // RFC 3501 §6.4.2: a mailbox that is read-only closes without an error. That it
    // is for the moment was told.
    let removed = match session.is_read_only() {
        true => Ok(()),
        false => expunge::remove_deleted(session, None).await,
    };
    session.deselect().await;
    removed?;
    Ok(Reply::ok("CLOSE completed"))
}

pub(super) async fn unselect(session: &mut Session) -> Result<Reply, Fail> {
    session.deselect().await;
    Ok(Reply::ok("UNSELECT completed"))
}
