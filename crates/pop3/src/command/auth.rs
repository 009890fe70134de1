//! AUTH (RFC 5034) with PLAIN.

use bytes::Bytes;
use postrider_proto::pop3::ErrorCode;
use postrider_proto::sasl::{Error, Exchange, Mechanism, Step as Sasl};

use super::login;
use crate::session::{Session, Step};

pub(crate) async fn run(
    session: &mut Session<'_>,
    mechanism: Option<Bytes>,
    initial: Option<Bytes>,
) -> Step {
    let Some(mechanism) = mechanism else {
        // Before RFC 5034 a bare AUTH listed the mechanisms; some clients ask so.
        session.out.extend_from_slice(b"+OK\r\n");
        if session.may_log_in() {
            session.out.extend_from_slice(b"PLAIN\r\n");
        }
        session.out.extend_from_slice(b".\r\n");
        return Ok(());
    };
    if Mechanism::parse(&mechanism) != Some(Mechanism::Plain) {
        return session.wrong("this mechanism is not offered; PLAIN is");
    }
    if !session.may_log_in() {
        return session.wrong(login::NEEDS_TLS);
    }
    let started = Exchange::start(Mechanism::Plain, initial.as_deref());
    let (mut exchange, mut step) = match started {
        Ok(started) => started,
        Err(error) => return refuse(session, error),
    };
    loop {
        match step {
            Sasl::Challenge(text) => {
                session.out.extend_from_slice(b"+ ");
                session.out.extend_from_slice(text.as_bytes());
                session.out.extend_from_slice(b"\r\n");
            }
            Sasl::Done(credentials) => {
                let other = credentials
                    .authorization_id
                    .is_some_and(|id| id != credentials.login);
                if other {
                    session.err(ErrorCode::Auth, "you may log in as yourself only");
                    return Ok(());
                }
                return login::run(session, &credentials.login, &credentials.password).await;
            }
        }
        let line = session.read_line().await?;
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        step = match exchange.respond(line) {
            Ok(step) => step,
            Err(error) => return refuse(session, error),
        };
    }
}

fn refuse(session: &mut Session<'_>, error: Error) -> Step {
    session.wrong(&error.to_string())
}
