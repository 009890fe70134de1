//! AUTH (RFC 4954), for a smarthost.

use postrider_proto::sasl::{Secret, client};
use postrider_proto::smtp::client::{Reply, Request};

use crate::connection::Connection;
use crate::failure::{Failure, Phase};

/// RFC 4954 §4: an initial response must fit into a command line of 512 bytes;
/// a longer one is sent when the server asks for it.
const MAX_INITIAL: usize = 480;

/// A login at a smarthost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// Send it in the clear where there is no TLS.
    pub without_tls: bool,
}

impl Connection {
    pub(crate) async fn log_in(&mut self, login: &Login) -> Result<(), Failure> {
        if self.tls.is_none() && !login.without_tls {
            // RFC 4954 §4
            return Err(failure(
                "the login is not sent without TLS; use TLS, or allow it in the settings",
            ));
        }
        let reply = if self.capabilities.auth_plain {
            self.plain(login).await?
        } else if self.capabilities.auth_login {
            self.login(login).await?
        } else {
            return Err(failure(
                "the server offers neither AUTH PLAIN nor AUTH LOGIN",
            ));
        };
        match reply.code {
            235 => Ok(()),
            _ => Err(Failure::refused(Phase::Login, reply).temporary()),
        }
    }

    async fn plain(&mut self, login: &Login) -> Result<Reply, Failure> {
        let message = client::plain(&login.user, &login.password).map_err(unsendable)?;
        let message = message.expose();
        if message.len() <= MAX_INITIAL {
            return self.auth("PLAIN", Some(message)).await;
        }
        let reply = self.auth("PLAIN", None).await?;
        self.go_on(reply, message).await
    }

    async fn login(&mut self, login: &Login) -> Result<Reply, Failure> {
        let [user, password] = client::login(&login.user, &login.password).map_err(unsendable)?;
        let reply = self.auth("LOGIN", None).await?;
        let reply = self.go_on(reply, user.expose()).await?;
        self.go_on(reply, password.expose()).await
    }

    async fn auth(&mut self, mechanism: &str, initial: Option<&str>) -> Result<Reply, Failure> {
        self.authenticate(&Request::Auth { mechanism, initial })
            .await
    }

    /// Answers a challenge; a reply that is none goes through.
    async fn go_on(&mut self, reply: Reply, answer: &str) -> Result<Reply, Failure> {
        match reply.code {
            334 => self.authenticate(&Request::SaslLine(answer)).await,
            235 => Err(Failure::refused(Phase::Login, reply)),
            _ => Ok(reply),
        }
    }

    async fn authenticate(&mut self, request: &Request<'_>) -> Result<Reply, Failure> {
        let limit = self.settings.command_timeout;
        let reply = self.ask(request, Phase::Login, limit).await;
        reply.map_err(Failure::temporary)
    }
}

fn failure(text: &str) -> Failure {
    Failure::new(Phase::Login, (4, 7, 0), text)
}

fn unsendable(error: postrider_proto::sasl::Error) -> Failure {
    failure(&format!(
        "the login in the settings cannot be sent: {error}"
    ))
}
