//! Commands as a client writes them (RFC 5321 §4.1.1), with the parameters of
//! the extensions. What stands in them comes from other people's mail: nothing
//! that could be read as a second command is written.

use std::io::Write as _;

use crate::smtp::parameter::{Body, MailParameters, Notify, RcptParameters, Return};
use crate::smtp::{MAX_AUTH_LINE, MAX_COMMAND_LINE, path, xtext};

/// Why a command cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The address is not valid.
    #[error("the address cannot be sent: {0}")]
    Path(#[from] path::PathError),
    /// A control character, or a space, where none may be.
    #[error("the command would hold a character that is not allowed")]
    BadCharacter,
    /// Longer than a server has to read.
    #[error("the command would be longer than servers read")]
    TooLong,
}

/// A command.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// EHLO with our name.
    Ehlo(&'a str),
    /// HELO with our name.
    Helo(&'a str),
    /// STARTTLS (RFC 3207)
    StartTls,
    /// AUTH (RFC 4954)
    Auth {
        /// The mechanism's name.
        mechanism: &'a str,
        /// The initial response, in base64.
        initial: Option<&'a str>,
    },
    /// A line of a SASL exchange, in base64.
    SaslLine(&'a str),
    /// MAIL FROM
    Mail {
        /// Where notices go; None for `<>`.
        reverse_path: Option<&'a str>,
        /// Its parameters; AUTH is not written.
        parameters: &'a MailParameters,
    },
    /// RCPT TO
    Rcpt {
        /// The recipient.
        forward_path: &'a str,
        /// Its parameters.
        parameters: &'a RcptParameters,
    },
    /// DATA
    Data,
    /// BDAT (RFC 3030 §2): so many bytes follow.
    Bdat {
        /// Bytes of this chunk.
        size: u64,
        /// It is the last chunk.
        last: bool,
    },
    /// RSET
    Rset,
    /// QUIT
    Quit,
}

impl Request<'_> {
    /// Appends the command with its CRLF to `out`, or nothing if it fails.
    pub fn write_to(&self, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let mut line = Vec::new();
        self.write_line(&mut line)?;
        let text = std::str::from_utf8(&line).map_err(|_| RequestError::BadCharacter)?;
        if text.chars().any(char::is_control) {
            return Err(RequestError::BadCharacter);
        }
        let limit = match self {
            Self::Auth { .. } | Self::SaslLine(_) => MAX_AUTH_LINE,
            _ => MAX_COMMAND_LINE,
        };
        if line.len() + 2 > limit {
            return Err(RequestError::TooLong);
        }
        line.extend_from_slice(b"\r\n");
        out.append(&mut line);
        Ok(())
    }

    /// The line without its CRLF; control characters are looked for afterwards.
    fn write_line(&self, line: &mut Vec<u8>) -> Result<(), RequestError> {
        // Writing to a Vec cannot fail.
        let _ = match *self {
            Self::Ehlo(name) => write!(line, "EHLO {}", word(name)?),
            Self::Helo(name) => write!(line, "HELO {}", word(name)?),
            Self::StartTls => write!(line, "STARTTLS"),
            Self::Auth { mechanism, initial } => match initial {
                None => write!(line, "AUTH {}", word(mechanism)?),
                Some(initial) => write!(line, "AUTH {} {}", word(mechanism)?, word(initial)?),
            },
            Self::SaslLine(text) => write!(line, "{}", word(text)?),
            Self::Mail {
                reverse_path,
                parameters,
            } => {
                let path = reverse_path.map_or(Ok(""), checked_path)?;
                let _ = write!(line, "MAIL FROM:<{path}>");
                return mail_parameters(line, parameters);
            }
            Self::Rcpt {
                forward_path,
                parameters,
            } => {
                let _ = write!(line, "RCPT TO:<{}>", checked_path(forward_path)?);
                return rcpt_parameters(line, parameters);
            }
            Self::Data => write!(line, "DATA"),
            Self::Bdat { size, last: false } => write!(line, "BDAT {size}"),
            Self::Bdat { size, last: true } => write!(line, "BDAT {size} LAST"),
            Self::Rset => write!(line, "RSET"),
            Self::Quit => write!(line, "QUIT"),
        };
        Ok(())
    }
}

/// A word that is one: not empty, and without a space.
fn word(text: &str) -> Result<&str, RequestError> {
    match text.is_empty() || text.contains(' ') {
        true => Err(RequestError::BadCharacter),
        false => Ok(text),
    }
}

/// A path that any server reads to its end and no further.
fn checked_path(text: &str) -> Result<&str, RequestError> {
    let bracketed = format!("<{text}>");
    let (_, rest) = path::forward_path(&bracketed)?;
    match rest {
        "" => Ok(text),
        _ => Err(RequestError::Path(path::PathError::NoBrackets)),
    }
}

fn mail_parameters(line: &mut Vec<u8>, parameters: &MailParameters) -> Result<(), RequestError> {
    if let Some(size) = parameters.size {
        let _ = write!(line, " SIZE={size}");
    }
    if let Some(body) = parameters.body {
        let _ = write!(line, " BODY={}", body_name(body));
    }
    if parameters.smtp_utf8 {
        let _ = write!(line, " SMTPUTF8");
    }
    // RFC 8689 §2
    if parameters.require_tls {
        let _ = write!(line, " REQUIRETLS");
    }
    if let Some(ret) = parameters.ret {
        let name = match ret {
            Return::Full => "FULL",
            Return::Headers => "HDRS",
        };
        let _ = write!(line, " RET={name}");
    }
    if let Some(id) = &parameters.envelope_id {
        let _ = write!(line, " ENVID={}", word(&xtext::encode(id))?);
    }
    Ok(())
}

const fn body_name(body: Body) -> &'static str {
    match body {
        Body::SevenBit => "7BIT",
        Body::EightBitMime => "8BITMIME",
        Body::BinaryMime => "BINARYMIME",
    }
}

fn rcpt_parameters(line: &mut Vec<u8>, parameters: &RcptParameters) -> Result<(), RequestError> {
    match parameters.notify {
        None => {}
        Some(Notify::Never) => {
            let _ = write!(line, " NOTIFY=NEVER");
        }
        Some(Notify::On {
            success,
            failure,
            delay,
        }) => {
            let events = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
            let events: Vec<&str> = events.iter().filter(|e| e.0).map(|e| e.1).collect();
            let _ = write!(line, " NOTIFY={}", word(&events.join(","))?);
        }
    }
    if let Some(original) = &parameters.original {
        // RFC 6533 §3: what is not ASCII may be sent as it is under SMTPUTF8
        // alone, encoded always.
        let address = xtext::encode_unicode(&original.address);
        let _ = write!(line, " ORCPT={};{}", word(&original.kind)?, word(&address)?);
    }
    Ok(())
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
