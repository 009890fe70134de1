//! LOGIN (RFC 3501 §6.2.3), and what every login ends with.

use postrider_auth::{ClosedReason, Failure};
use postrider_proto::imap::response::Code;
use postrider_proto::imap::{Limits, Login};
use tokio::time::Instant;

use crate::account::Account;
use crate::capability;
use crate::error::{End, Fail, Reply, ReplyCode};
use crate::session::Session;

pub(super) async fn run(session: &mut Session, login: &Login) -> Result<Reply, Fail> {
    if !session.may_log_in() {
        return Ok(needs_tls());
    }
    log_in(session, &login.user, login.password.expose()).await
}

/// RFC 5530 §3, PRIVACYREQUIRED
pub(super) fn needs_tls() -> Reply {
    Reply::no(
        Code::PrivacyRequired,
        "passwords are taken over TLS only; use STARTTLS or the TLS port",
    )
}

/// Checks the password and opens the account.
pub(super) async fn log_in(
    session: &mut Session,
    user: &str,
    password: &str,
) -> Result<Reply, Fail> {
    let peer = session.out.connection.peer().ip();
    let auth = session.shared.handles.auth.clone();
    match auth.login(peer, user, password).await {
        Ok(login) => {
            tracing::debug!(account = %login.address, %peer, "IMAP login");
            session.login = Some(Account {
                id: login.account,
                address: login.address,
                open_at: Instant::now(),
            });
            session.tell_standing(login.stale);
            let settings = &session.shared.settings;
            session.reader.set_limits(Limits {
                command: usize::try_from(settings.max_command_size).unwrap_or(usize::MAX),
                // An APPEND that is refused by a client that did not wait.
                discard: settings.max_message_size.saturating_mul(2),
            });
            let names = capability::names(session);
            Ok(Reply::ok("you are logged in").with(ReplyCode::Capability(names)))
        }
        Err(failure) => refuse(session, failure),
    }
}

fn refuse(session: &mut Session, failure: Failure) -> Result<Reply, Fail> {
    let code = match failure {
        Failure::Rejected => Code::AuthenticationFailed,
        Failure::Throttled | Failure::Unavailable => Code::Unavailable,
        Failure::Closed(ClosedReason::Expired) => Code::Expired,
        Failure::Closed(ClosedReason::Suspended) => Code::ContactAdmin,
    };
    session.login_failures += 1;
    if session.login_failures >= session.shared.settings.max_login_failures.max(1) {
        return Err(End::Bye("too many failed logins").into());
    }
    Ok(Reply::no(code, failure.to_string()))
}
