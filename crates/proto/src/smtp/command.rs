//! One command line to one typed command (RFC 5321 §4.1.1).

use super::parameter::{MailParameters, RcptParameters};
use super::path::{self, ForwardPath, Mailbox, PathError};
use super::reply::Reply;

/// A command. Borrows from its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// EHLO with the client's name.
    Ehlo(&'a str),
    /// HELO with the client's name.
    Helo(&'a str),
    /// LHLO (RFC 2033 §4.1) with the client's name.
    Lhlo(&'a str),
    /// MAIL FROM
    Mail(Mail),
    /// RCPT TO
    Rcpt(Rcpt),
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
    /// NOOP, its argument ignored.
    Noop,
    /// VRFY
    Vrfy,
    /// EXPN
    Expn,
    /// HELP
    Help,
    /// QUIT
    Quit,
    /// STARTTLS (RFC 3207)
    StartTls,
    /// AUTH (RFC 4954)
    Auth {
        /// The mechanism's name, in any case.
        mechanism: &'a str,
        /// The initial response, base64 or `=`.
        initial: Option<&'a [u8]>,
    },
}

/// MAIL FROM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Where notices go; None for `<>`.
    pub reverse_path: Option<Mailbox>,
    /// Its parameters.
    pub parameters: MailParameters,
}

/// RCPT TO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rcpt {
    /// The recipient.
    pub forward_path: ForwardPath,
    /// Its parameters.
    pub parameters: RcptParameters,
}

/// Why a line is no command. The text is what the client is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such command.
    #[error("command not recognized")]
    Unknown,
    /// NUL, other control characters, or bytes that are not UTF-8.
    #[error("the command holds bytes that are not allowed")]
    BadBytes,
    /// The arguments do not fit the command.
    #[error("{0}")]
    Arguments(&'static str),
    /// A parameter of MAIL or RCPT is malformed or given twice.
    #[error("{0}")]
    Parameter(&'static str),
    /// A parameter of MAIL or RCPT that is not known.
    #[error("a parameter is not recognized")]
    UnknownParameter,
    /// MAIL's address is malformed.
    #[error("{0}")]
    Sender(PathError),
    /// RCPT's address is malformed.
    #[error("{0}")]
    Recipient(PathError),
    /// MAIL's address needs SMTPUTF8.
    #[error("the address is not ASCII: give the SMTPUTF8 parameter")]
    SenderNotAscii,
}

impl Error {
    /// What to answer.
    pub fn reply(&self) -> Reply {
        let (code, enhanced) = match self {
            // RFC 5321 §4.2.4, RFC 3463 §3.6
            Self::Unknown => (500, (5, 5, 1)),
            Self::BadBytes => (500, (5, 5, 2)),
            Self::Arguments(_) | Self::Parameter(_) => (501, (5, 5, 4)),
            // RFC 5321 §4.1.1.11
            Self::UnknownParameter => (555, (5, 5, 4)),
            Self::Sender(_) => (501, (5, 1, 7)),
            Self::Recipient(_) => (501, (5, 1, 3)),
            // RFC 6531 §3.5
            Self::SenderNotAscii => (550, (5, 6, 7)),
        };
        Reply::new(code, enhanced, self.to_string())
    }
}

impl<'a> Command<'a> {
    /// Reads `line`, without its CRLF.
    pub fn parse(line: &'a [u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(line).map_err(|_| Error::BadBytes)?;
        // RFC 5321 §4.1.1: trailing white space is tolerated. A tab counts as
        // white space there; no other control character has a meaning.
        let text = text.trim_end_matches([' ', '\t']);
        if text.chars().any(char::is_control) {
            return Err(Error::BadBytes);
        }
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let argument = rest.trim_start_matches(' ');
        let none = |command: Self| match argument {
            "" => Ok(command),
            _ => Err(Error::Arguments("this command takes no argument")),
        };
        // All verbs are ASCII letters of at most eight bytes.
        let mut upper = [0; 8];
        let upper = upper.get_mut(..verb.len()).ok_or(Error::Unknown)?;
        upper.copy_from_slice(verb.as_bytes());
        upper.make_ascii_uppercase();
        match &*upper {
            b"EHLO" => client_name(argument).map(Self::Ehlo),
            b"HELO" => client_name(argument).map(Self::Helo),
            b"LHLO" => client_name(argument).map(Self::Lhlo),
            b"MAIL" => mail(argument).map(Self::Mail),
            b"RCPT" => rcpt(argument).map(Self::Rcpt),
            b"DATA" => none(Self::Data),
            b"BDAT" => bdat(argument),
            b"RSET" => none(Self::Rset),
            b"NOOP" => Ok(Self::Noop),
            b"VRFY" => Ok(Self::Vrfy),
            b"EXPN" => Ok(Self::Expn),
            b"HELP" => Ok(Self::Help),
            b"QUIT" => none(Self::Quit),
            b"STARTTLS" => none(Self::StartTls),
            b"AUTH" => auth(argument),
            _ => Err(Error::Unknown),
        }
    }
}

/// The client's name, 1 to 255 bytes without a space. RFC 5321 §4.1.1.1 asks
/// for a domain or an address literal; what clients send is kept as a claim
/// and never believed.
fn client_name(argument: &str) -> Result<&str, Error> {
    if argument.is_empty() || argument.len() > 255 || argument.contains(' ') {
        return Err(Error::Arguments("give the name of your host"));
    }
    Ok(argument)
}

/// What follows `keyword` and a colon, in any case. White space after the
/// colon is not in the grammar, but common.
fn after_colon<'a>(argument: &'a str, keyword: &str) -> Option<&'a str> {
    let (found, rest) = argument.split_at_checked(keyword.len())?;
    let path = rest.strip_prefix(':')?;
    found
        .eq_ignore_ascii_case(keyword)
        .then(|| path.trim_start_matches(' '))
}

fn mail(argument: &str) -> Result<Mail, Error> {
    let path =
        after_colon(argument, "FROM").ok_or(Error::Arguments("the form is MAIL FROM:<address>"))?;
    let (reverse_path, rest) = path::reverse_path(path).map_err(Error::Sender)?;
    let parameters = MailParameters::parse(rest)?;
    // RFC 6531 §3.4
    if !parameters.smtp_utf8 && reverse_path.as_ref().is_some_and(|m| !m.is_ascii()) {
        return Err(Error::SenderNotAscii);
    }
    Ok(Mail {
        reverse_path,
        parameters,
    })
}

fn rcpt(argument: &str) -> Result<Rcpt, Error> {
    let path =
        after_colon(argument, "TO").ok_or(Error::Arguments("the form is RCPT TO:<address>"))?;
    let (forward_path, rest) = path::forward_path(path).map_err(Error::Recipient)?;
    let parameters = RcptParameters::parse(rest)?;
    Ok(Rcpt {
        forward_path,
        parameters,
    })
}

fn bdat<'a>(argument: &str) -> Result<Command<'a>, Error> {
    let wrong = Error::Arguments("the form is BDAT size or BDAT size LAST");
    let (digits, rest) = argument.split_once(' ').unwrap_or((argument, ""));
    let last = match rest.trim_start_matches(' ') {
        "" => false,
        word if word.eq_ignore_ascii_case("LAST") => true,
        _ => return Err(wrong),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong);
    }
    let size = digits.parse().map_err(|_| wrong)?;
    Ok(Command::Bdat { size, last })
}

fn auth(argument: &str) -> Result<Command<'_>, Error> {
    let (mechanism, rest) = argument.split_once(' ').unwrap_or((argument, ""));
    let initial = rest.trim_start_matches(' ');
    if mechanism.is_empty() || initial.contains(' ') {
        return Err(Error::Arguments(
            "the form is AUTH mechanism or AUTH mechanism response",
        ));
    }
    let initial = (!initial.is_empty()).then_some(initial.as_bytes());
    Ok(Command::Auth { mechanism, initial })
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
