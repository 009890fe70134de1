//! SASL exchanges as the server sees them (RFC 4422): PLAIN (RFC 4616) and
//! LOGIN (draft-murchison-sasl-login), base64 in and base64 out, the same for
//! SMTP, IMAP and POP3. Knows no account and no connection: it turns the
//! client's lines into [`Credentials`], whose check is `auth`'s. How a
//! protocol frames a line (`334 `, `+ `) is that protocol's. The client's half
//! is [`client`].

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub mod client;
#[cfg(test)]
mod tests;

/// The longest base64 line that a client may send, without CRLF
/// (RFC 4954 §4: 12,288 octets).
pub const MAX_LINE: usize = 12_288;
/// The longest login or authorization identity in bytes (RFC 4616 §2: 255).
pub const MAX_LOGIN: usize = 320;
/// The longest password in bytes.
pub const MAX_PASSWORD: usize = 1024;

/// Why an exchange ended without credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The client sent `*` (RFC 4954 §4, RFC 9051 §6.2.2).
    #[error("authentication was cancelled by the client")]
    Cancelled,
    /// A line is longer than [`MAX_LINE`].
    #[error("the authentication line is too long")]
    TooLong,
    /// A line is no base64.
    #[error("the authentication line is not valid base64")]
    Base64,
    /// Decoded, but not in the mechanism's form: fields missing, empty, too
    /// long, or not UTF-8.
    #[error("the authentication message is malformed")]
    Malformed,
}

/// A mechanism that the server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// PLAIN (RFC 4616)
    Plain,
    /// LOGIN: obsolete, still what some clients send.
    Login,
}

impl Mechanism {
    /// All mechanisms, the preferred first.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Login];

    /// Reads a mechanism's name, in any case. None for one that is not offered.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|m| name.eq_ignore_ascii_case(m.as_str().as_bytes()))
    }

    /// The registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is never printed: `Debug` shows dots.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. To be handed to the verifier alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What a client proved nothing with yet: to be checked by `auth`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Whom the client wants to act as, where it named somebody (PLAIN's
    /// authzid). The protocol refuses one that differs from the login.
    pub authorization_id: Option<String>,
    /// The login, 1 to [`MAX_LOGIN`] bytes.
    pub login: String,
    /// The password, up to [`MAX_PASSWORD`] bytes.
    pub password: Secret,
}

/// What the server does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this challenge (base64, may be empty) and give the client's line
    /// to [`Exchange::respond`].
    Challenge(&'static str),
    /// The exchange is complete.
    Done(Credentials),
}

/// A running exchange.
#[derive(Debug)]
pub struct Exchange(State);

#[derive(Debug)]
enum State {
    Plain,
    LoginName,
    LoginPassword(String),
    Over,
}

impl Exchange {
    /// Begins `mechanism`, with the client's initial response (base64, `=` for
    /// an empty one: RFC 4954 §4, RFC 4959 §3) where it sent one.
    pub fn start(mechanism: Mechanism, initial: Option<&[u8]>) -> Result<(Self, Step), Error> {
        let mut exchange = Self(match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginName,
        });
        let step = match initial {
            Some(b"=") => exchange.advance(Vec::new())?,
            Some(line) => exchange.respond(line)?,
            None => Step::Challenge(match mechanism {
                Mechanism::Plain => "",
                Mechanism::Login => "VXNlcm5hbWU6", // "Username:"
            }),
        };
        Ok((exchange, step))
    }

    /// Takes the client's next line, without CRLF. `*` cancels. After an error
    /// or [`Step::Done`] the exchange is over and answers [`Error::Malformed`].
    pub fn respond(&mut self, line: &[u8]) -> Result<Step, Error> {
        if line == b"*" {
            self.0 = State::Over;
            return Err(Error::Cancelled);
        }
        if line.len() > MAX_LINE {
            self.0 = State::Over;
            return Err(Error::TooLong);
        }
        match STANDARD.decode(line) {
            Ok(message) => self.advance(message),
            Err(_) => {
                self.0 = State::Over;
                Err(Error::Base64)
            }
        }
    }

    fn advance(&mut self, message: Vec<u8>) -> Result<Step, Error> {
        match std::mem::replace(&mut self.0, State::Over) {
            State::Plain => plain(&message).map(Step::Done),
            State::LoginName => {
                self.0 = State::LoginPassword(text(&message, 1, MAX_LOGIN)?);
                Ok(Step::Challenge("UGFzc3dvcmQ6")) // "Password:"
            }
            State::LoginPassword(login) => Ok(Step::Done(Credentials {
                authorization_id: None,
                login,
                password: Secret::new(text(&message, 0, MAX_PASSWORD)?),
            })),
            State::Over => Err(Error::Malformed),
        }
    }
}

/// RFC 4616 §2: `[authzid] NUL authcid NUL passwd`, all UTF-8 without NUL.
fn plain(message: &[u8]) -> Result<Credentials, Error> {
    let mut fields = message.split(|&b| b == 0);
    let mut next = || fields.next().ok_or(Error::Malformed);
    let (authorization_id, login, password) = (next()?, next()?, next()?);
    if fields.next().is_some() {
        return Err(Error::Malformed);
    }
    let authorization_id = text(authorization_id, 0, MAX_LOGIN)?;
    Ok(Credentials {
        authorization_id: (!authorization_id.is_empty()).then_some(authorization_id),
        login: text(login, 1, MAX_LOGIN)?,
        password: Secret::new(text(password, 0, MAX_PASSWORD)?),
    })
}

fn text(bytes: &[u8], min: usize, max: usize) -> Result<String, Error> {
    if bytes.len() < min || bytes.len() > max || bytes.contains(&0) {
        return Err(Error::Malformed);
    }
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| Error::Malformed)
}
