//! CLOSE (RFC 3501 §6.4.2), UNSELECT (RFC 3691), and the end of a selection.

use super::expunge;
use crate::error::{Fail, Reply};
use crate::session::Session;

pub(super) async fn run(session: &mut Session) -> Result<Reply, Fail> {
    let writable = session.selected.as_ref().is_some_and(|s| !s.read_only);
    let removed = if writable {
        expunge::remove_deleted(session, None).await
    } else {
        Ok(())
    };
    session.deselect().await;
    removed?;
    Ok(Reply::ok("CLOSE completed"))
}

pub(super) async fn unselect(session: &mut Session) -> Result<Reply, Fail> {
    session.deselect().await;
    Ok(Reply::ok("UNSELECT completed"))
}
