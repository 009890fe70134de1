//! What PASS and AUTH share: the check of a login, and the way into the
//! TRANSACTION state.

use postrider_auth::Failure;
use postrider_proto::pop3::ErrorCode;
use postrider_proto::sasl::Secret;
use tracing::{info, warn};

use crate::maildrop::Maildrop;
use crate::session::{Session, Step, Stop};

/// Said to passwords that come in the clear.
pub(super) const NEEDS_TLS: &str = "logins need TLS: send STLS first, or use the POP3S port";

/// Said where no majority of the metadata answers.
const STALE: &str = ", as last known here: the mail servers have lost touch with each other, \
                     newer mail may be missing and none can be deleted";

/// Logs in and opens the maildrop.
pub(super) async fn run(session: &mut Session<'_>, login: &str, password: &Secret) -> Step {
    let peer = session.connection.peer().ip();
    let handles = &session.server.handles;
    let login = match handles.auth.login(peer, login, password.expose()).await {
        Ok(login) => login,
        Err(failure) => return fail(session, failure),
    };
    match Maildrop::open(&handles.meta, login.account).await {
        Ok(maildrop) => {
            let (messages, octets) = maildrop.total();
            info!(account = %login.address, %peer, messages, "POP3 login");
            session.user = None;
            let note = match maildrop.stale || login.stale {
                true => STALE,
                false => "",
            };
            session.ok(&format!("{messages} messages ({octets} octets){note}"));
            session.maildrop = Some(maildrop);
        }
        Err(error) => {
            warn!(account = %login.address, %error, "a maildrop cannot be opened");
            session.err(
                ErrorCode::SysTemp,
                "the mailbox is not available now, try again later",
            );
        }
    }
    Ok(())
}

fn fail(session: &mut Session<'_>, failure: Failure) -> Step {
    // RFC 3206 §3 and §4.
    let code = match failure {
        Failure::Rejected => ErrorCode::Auth,
        Failure::Closed(_) => ErrorCode::SysPerm,
        Failure::Throttled | Failure::Unavailable => ErrorCode::SysTemp,
    };
    session.user = None;
    session.err(code, &failure.to_string());
    session.failed_logins += 1;
    let max = session.server.settings.max_failed_logins;
    if max > 0 && session.failed_logins >= max {
        Err(Stop::Bye)
    } else {
        Ok(())
    }
}
