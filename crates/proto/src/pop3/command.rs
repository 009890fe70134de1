//! Command lines to [`Command`]s.

use bytes::Bytes;

use crate::sasl::Secret;

/// A command. Message numbers are as the client wrote them: 0 and numbers beyond
/// the maildrop come through, larger ones than `u32::MAX` as that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `AUTH` (RFC 5034): without a mechanism it asks for the list.
    Auth {
        /// The mechanism's name.
        mechanism: Option<Bytes>,
        /// The initial response in base64, `=` for an empty one.
        initial: Option<Bytes>,
    },
    /// `CAPA` (RFC 2449)
    Capa,
    /// `DELE msg`
    Dele(u32),
    /// `LIST [msg]`
    List(Option<u32>),
    /// `NOOP`
    Noop,
    /// `PASS string`
    Pass(Secret),
    /// `QUIT`
    Quit,
    /// `RETR msg`
    Retr(u32),
    /// `RSET`
    Rset,
    /// `STAT`
    Stat,
    /// `STLS` (RFC 2595)
    Stls,
    /// `TOP msg n`
    Top(u32, u32),
    /// `UIDL [msg]`
    Uidl(Option<u32>),
    /// `USER name`
    User(String),
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such command. APOP is one of them: it needs passwords in clear on the
    /// server.
    #[error("unknown command")]
    Unknown,
    /// The arguments are wrong; the text shows the right form.
    #[error("usage: {0}")]
    Usage(&'static str),
    /// The argument is no UTF-8.
    #[error("the argument is not valid UTF-8")]
    NotUtf8,
}

impl Command {
    /// Reads a command line, with or without its line end.
    pub fn parse(line: &[u8]) -> Result<Self, Error> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let end = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
        let (keyword, rest) = line.split_at(end);
        let mut lower = [0; 4];
        let Some(name) = lower.get_mut(..keyword.len()) else {
            return Err(Error::Unknown);
        };
        name.copy_from_slice(keyword);
        name.make_ascii_lowercase();
        match &*name {
            b"auth" => auth(rest),
            b"capa" => none(rest, Self::Capa, "CAPA"),
            b"dele" => one(rest, "DELE message").map(Self::Dele),
            b"list" => optional(rest, "LIST [message]").map(Self::List),
            b"noop" => none(rest, Self::Noop, "NOOP"),
            b"pass" => pass(rest),
            b"quit" => none(rest, Self::Quit, "QUIT"),
            b"retr" => one(rest, "RETR message").map(Self::Retr),
            b"rset" => none(rest, Self::Rset, "RSET"),
            b"stat" => none(rest, Self::Stat, "STAT"),
            b"stls" => none(rest, Self::Stls, "STLS"),
            b"top" => match numbers(rest, "TOP message lines")? {
                (Some(message), Some(lines)) => Ok(Self::Top(message, lines)),
                _ => Err(Error::Usage("TOP message lines")),
            },
            b"uidl" => optional(rest, "UIDL [message]").map(Self::Uidl),
            b"user" => user(rest),
            _ => Err(Error::Unknown),
        }
    }
}

fn none(rest: &[u8], command: Command, usage: &'static str) -> Result<Command, Error> {
    // Trailing spaces are common and harm nobody.
    if rest.trim_ascii().is_empty() {
        Ok(command)
    } else {
        Err(Error::Usage(usage))
    }
}

/// Up to two numbers.
fn numbers(rest: &[u8], usage: &'static str) -> Result<(Option<u32>, Option<u32>), Error> {
    let mut words = rest.split(|b| *b == b' ').filter(|w| !w.is_empty());
    let mut next = || {
        words
            .next()
            .map(|w| number(w).ok_or(Error::Usage(usage)))
            .transpose()
    };
    let both = (next()?, next()?);
    if words.next().is_some() {
        Err(Error::Usage(usage))
    } else {
        Ok(both)
    }
}

fn number(word: &[u8]) -> Option<u32> {
    word.iter().try_fold(0_u32, |n, b| {
        let digit = b.is_ascii_digit().then(|| u32::from(b - b'0'))?;
        Some(n.saturating_mul(10).saturating_add(digit))
    })
}

fn optional(rest: &[u8], usage: &'static str) -> Result<Option<u32>, Error> {
    match numbers(rest, usage)? {
        (number, None) => Ok(number),
        _ => Err(Error::Usage(usage)),
    }
}

fn one(rest: &[u8], usage: &'static str) -> Result<u32, Error> {
    optional(rest, usage)?.ok_or(Error::Usage(usage))
}

fn user(rest: &[u8]) -> Result<Command, Error> {
    let name = std::str::from_utf8(rest.trim_ascii()).map_err(|_| Error::NotUtf8)?;
    if name.is_empty() {
        Err(Error::Usage("USER name"))
    } else {
        Ok(Command::User(name.into()))
    }
}

/// RFC 1939 §7 (PASS): spaces are part of the password.
fn pass(rest: &[u8]) -> Result<Command, Error> {
    let password = rest
        .strip_prefix(b" ")
        .ok_or(Error::Usage("PASS password"))?;
    let password = std::str::from_utf8(password).map_err(|_| Error::NotUtf8)?;
    Ok(Command::Pass(Secret::new(password)))
}

fn auth(rest: &[u8]) -> Result<Command, Error> {
    let mut words = rest.split(|b| *b == b' ').filter(|w| !w.is_empty());
    let mut next = || words.next().map(Bytes::copy_from_slice);
    let (mechanism, initial) = (next(), next());
    if words.next().is_some() {
        return Err(Error::Usage("AUTH mechanism [initial-response]"));
    }
    Ok(Command::Auth { mechanism, initial })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_are_read() {
        use Command as C;
        let usage = |text| Err(Error::Usage(text));
        let bytes = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        for (line, want) in [
            (
                "USER ann@example.org\r\n",
                Ok(C::User("ann@example.org".into())),
            ),
            ("user  ann \r\n", Ok(C::User("ann".into()))),
            ("USER", usage("USER name")),
            ("PASS  a b \r\n", Ok(C::Pass(Secret::new(" a b ")))),
            ("PASS ", Ok(C::Pass(Secret::new("")))),
            ("PASS", usage("PASS password")),
            ("STAT\n", Ok(C::Stat)),
            ("STAT  \r\n", Ok(C::Stat)),
            ("STAT 1", usage("STAT")),
            ("LIST", Ok(C::List(None))),
            ("list 3", Ok(C::List(Some(3)))),
            ("LIST 3 4", usage("LIST [message]")),
            ("LIST -3", usage("LIST [message]")),
            ("UIDL 1", Ok(C::Uidl(Some(1)))),
            ("RETR 99999999999999999999", Ok(C::Retr(u32::MAX))),
            ("RETR", usage("RETR message")),
            ("RETR x", usage("RETR message")),
            ("RETR \u{661}", usage("RETR message")),
            ("TOP 1 0", Ok(C::Top(1, 0))),
            ("TOP 1", usage("TOP message lines")),
            ("TOP 1 2 3", usage("TOP message lines")),
            ("DELE 1", Ok(C::Dele(1))),
            ("RSET", Ok(C::Rset)),
            ("NOOP", Ok(C::Noop)),
            ("QUIT", Ok(C::Quit)),
            ("STLS", Ok(C::Stls)),
            ("CAPA", Ok(C::Capa)),
            (
                "AUTH",
                Ok(C::Auth {
                    mechanism: None,
                    initial: None,
                }),
            ),
            (
                "AUTH plain =",
                Ok(C::Auth {
                    mechanism: bytes("plain"),
                    initial: bytes("="),
                }),
            ),
            ("AUTH a b c", usage("AUTH mechanism [initial-response]")),
            ("APOP a b", Err(Error::Unknown)),
            ("", Err(Error::Unknown)),
            ("\r\n", Err(Error::Unknown)),
            (" STAT", Err(Error::Unknown)),
            ("STATS", Err(Error::Unknown)),
            ("GET / HTTP/1.1", Err(Error::Unknown)),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), want, "{line:?}");
        }
        assert_eq!(Command::parse(b"USER \xff"), Err(Error::NotUtf8));
        assert_eq!(Command::parse(b"PASS \xff"), Err(Error::NotUtf8));
        assert!(!format!("{:?}", Command::parse(b"PASS secret")).contains("secret"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(line in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Command::parse(&line);
        }
    }
}
