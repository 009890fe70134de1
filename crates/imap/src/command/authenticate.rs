//! AUTHENTICATE (RFC 3501 §6.2.2, RFC 4959).

use postrider_proto::imap::Authenticate;
use postrider_proto::imap::response::Code;
use postrider_proto::sasl::{self, Credentials, Exchange, Mechanism, Step};

use super::login;
use crate::error::{Fail, Reply};
use crate::session::Session;

pub(super) async fn run(session: &mut Session, command: &Authenticate) -> Result<Reply, Fail> {
    if !session.may_log_in() {
        return Ok(login::needs_tls());
    }
    let Some(mechanism) = Mechanism::parse(command.mechanism.as_bytes()) else {
        return Ok(Reply::no(
            Code::Cannot,
            "this mechanism is not offered; use PLAIN or LOGIN",
        ));
    };
    let initial = command.initial.as_ref().map(|i| i.expose().as_bytes());
    let credentials = match exchange(session, mechanism, initial).await? {
        Ok(credentials) => credentials,
        Err(error) => return Ok(Reply::bad(error.to_string())),
    };
    let other = |id: &String| !id.eq_ignore_ascii_case(&credentials.login);
    if credentials.authorization_id.as_ref().is_some_and(other) {
        return Ok(Reply::no(
            Code::AuthorizationFailed,
            "you can log in as yourself only",
        ));
    }
    let Credentials {
        login, password, ..
    } = credentials;
    login::log_in(session, &login, password.expose()).await
}

async fn exchange(
    session: &mut Session,
    mechanism: Mechanism,
    initial: Option<&[u8]>,
) -> Result<Result<Credentials, sasl::Error>, Fail> {
    let (mut exchange, mut step) = match Exchange::start(mechanism, initial) {
        Ok(started) => started,
        Err(error) => return Ok(Err(error)),
    };
    loop {
        match step {
            Step::Done(credentials) => return Ok(Ok(credentials)),
            Step::Challenge(text) => {
                session.out.raw(b"+ ");
                session.out.raw(text.as_bytes());
                session.out.raw(b"\r\n");
                session.flush().await?;
            }
        }
        let wait = session.shared.settings.login_timeout;
        let line = session.answer_line(sasl::MAX_LINE + 2, wait).await?;
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        step = match exchange.respond(line) {
            Ok(step) => step,
            Err(error) => return Ok(Err(error)),
        };
    }
}
