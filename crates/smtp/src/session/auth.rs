//! AUTH (RFC 4954).

use postrider_auth::Failure;
use postrider_proto::sasl::{Credentials, Error as SaslError, Exchange, Mechanism, Step};
use postrider_proto::smtp::{MAX_AUTH_LINE, Reply};

use super::{End, Session};

/// Failed logins after which the session ends.
const MAX_LOGIN_FAILURES: u32 = 5;

impl Session<'_> {
    pub(super) async fn auth(
        &mut self,
        mechanism: &str,
        initial: Option<&[u8]>,
    ) -> Result<(), End> {
        if !self.role().is_submission() {
            return self.refuse(502, (5, 5, 1), "no logins here: use the submission port");
        }
        // RFC 4954 §4
        if self.login.is_some() {
            return self.refuse(503, (5, 5, 1), "you are logged in already");
        }
        if self.transaction.is_some() {
            return self.refuse(503, (5, 5, 1), "not during a mail transaction");
        }
        if self.greeting.is_none() {
            return self.refuse(503, (5, 5, 1), "say EHLO first");
        }
        if !self.offers_login() {
            return self.refuse(538, (5, 7, 11), "start TLS before you log in");
        }
        let Some(mechanism) = Mechanism::parse(mechanism.as_bytes()) else {
            return self.refuse(504, (5, 5, 4), "mechanisms are PLAIN and LOGIN");
        };
        let credentials = match self.exchange(mechanism, initial).await? {
            Ok(credentials) => credentials,
            Err(error) => return self.answer(&reply_to(error)),
        };
        self.log_in(credentials).await
    }

    /// Leads the exchange to its end.
    async fn exchange(
        &mut self,
        mechanism: Mechanism,
        initial: Option<&[u8]>,
    ) -> Result<Result<Credentials, SaslError>, End> {
        let (mut exchange, mut step) = match Exchange::start(mechanism, initial) {
            Ok(started) => started,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            match step {
                Step::Done(credentials) => return Ok(Ok(credentials)),
                Step::Challenge(text) => self.reply(&Reply::plain(334, text)),
            }
            let Some(line) = self.response().await? else {
                return Ok(Err(SaslError::TooLong));
            };
            step = match exchange.respond(&line) {
                Ok(step) => step,
                Err(error) => return Ok(Err(error)),
            };
        }
    }

    /// The client's next line within the exchange; None where it is too long.
    async fn response(&mut self) -> Result<Option<bytes::Bytes>, End> {
        loop {
            match self.input.next_line(MAX_AUTH_LINE) {
                Ok(Some(mut line)) => {
                    let end = line.strip_suffix(b"\r\n").or(line.strip_suffix(b"\n"));
                    line.truncate(end.map_or(line.len(), <[u8]>::len));
                    return Ok(Some(line));
                }
                Ok(None) => self.wait().await?,
                Err(_) => {
                    let timeout = self.server.settings.command_timeout;
                    let skipped =
                        self.input
                            .discard_line(&mut self.connection, super::MAX_SKIPPED, timeout);
                    skipped.await?;
                    return Ok(None);
                }
            }
        }
    }

    async fn log_in(&mut self, credentials: Credentials) -> Result<(), End> {
        let Credentials {
            authorization_id,
            login,
            password,
        } = credentials;
        let auth = &self.server.handles.auth;
        let checked = auth.login(self.peer, &login, password.expose()).await;
        let failure = match checked {
            Ok(found) => {
                // RFC 4616 §2: nobody acts for another account here.
                let other = authorization_id.is_some_and(|id| {
                    !id.eq_ignore_ascii_case(&login)
                        && !id.eq_ignore_ascii_case(&found.address.to_string())
                });
                if !other {
                    self.login = Some(found);
                    return self.answer(&Reply::new(235, (2, 7, 0), "logged in"));
                }
                Failure::Rejected
            }
            Err(failure) => failure,
        };
        // RFC 4954 §6, RFC 3463 §3.8
        let (code, enhanced) = match failure {
            Failure::Rejected => (535, (5, 7, 8)),
            Failure::Closed(_) => (525, (5, 7, 13)),
            Failure::Throttled | Failure::Unavailable => (454, (4, 7, 0)),
        };
        self.answer(&Reply::new(code, enhanced, failure.to_string()))?;
        self.login_failures += 1;
        if self.login_failures >= MAX_LOGIN_FAILURES {
            return Err(End::saying(
                421,
                (4, 7, 0),
                "too many failed logins, goodbye",
            ));
        }
        Ok(())
    }
}

fn reply_to(error: SaslError) -> Reply {
    // RFC 4954 §4
    let (code, enhanced) = match error {
        SaslError::Cancelled => (501, (5, 7, 0)),
        SaslError::TooLong => (500, (5, 5, 6)),
        SaslError::Base64 | SaslError::Malformed => (501, (5, 5, 2)),
    };
    Reply::new(code, enhanced, error.to_string())
}
