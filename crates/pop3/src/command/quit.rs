//! QUIT: removes the marked messages, all or none, and ends the session.

use postrider_meta::command::Expunge;
use postrider_proto::pop3::ErrorCode;
use tracing::{info, warn};

use super::NO_MAJORITY;
use crate::maildrop::{MAX_MESSAGES, Maildrop};
use crate::session::{Session, Step, Stop};

pub(crate) async fn run(session: &mut Session<'_>) -> Step {
    let removed = match session.maildrop.take() {
        Some(maildrop) => update(session, &maildrop).await,
        None => Ok(0),
    };
    match removed {
        Ok(0) => session.ok("bye"),
        Ok(removed) => session.ok(&format!("{removed} messages removed, bye")),
        // RFC 1939 §6: it must not remove any message that was not marked, and
        // says so when it could not remove those that were. Where no answer came
        // they may be removed yet.
        Err(reason) => {
            warn!(
                reason,
                "messages marked for deletion may not have been removed"
            );
            session.err(
                ErrorCode::SysTemp,
                "the messages marked for deletion may not have been removed",
            );
        }
    }
    Err(Stop::Bye)
}

/// The UPDATE state: one command, so that all marked messages go or none.
async fn update(session: &Session<'_>, maildrop: &Maildrop) -> Result<usize, String> {
    let uids = maildrop.marked();
    if uids.0.is_empty() {
        return Ok(0);
    }
    if session.server.handles.meta.is_stale() {
        return Err(NO_MAJORITY.to_owned());
    }
    let expunge = Expunge {
        account: maildrop.account,
        mailbox: maildrop.mailbox,
        uids,
        only_deleted: false,
        limit: u32::try_from(MAX_MESSAGES).unwrap_or(u32::MAX),
    };
    match session.server.handles.meta.run(expunge).await {
        Ok((Ok(expunged), _)) => {
            info!(account = %maildrop.account, removed = expunged.uids.len(), "POP3 deletions");
            Ok(expunged.uids.len())
        }
        Ok((Err(refusal), _)) => Err(refusal.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
