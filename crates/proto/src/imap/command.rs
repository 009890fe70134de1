//! The commands as values, and the way from a command's bytes to its value.

use std::fmt;

use super::append::{self, Coming};
use super::error::{CommandError, Problem};
use super::fetch::Fetch;
use super::input::Input;
use super::list::{List, Lsub};
use super::login::{Authenticate, Login};
use super::mailbox::{Copy, Create, Rename, Select, SetQuota};
use super::search::Search;
use super::sequence::SequenceSet;
use super::status::Status;
use super::store::Store;

/// What a client calls its command: 1 to [`Tag::MAX`] printable ASCII bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(Box<str>);

impl Tag {
    /// The most bytes in a tag; RFC 3501 names no bound.
    pub const MAX: usize = 128;

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the tag and the space after it.
    pub(super) fn parse(input: &mut Input<'_>) -> Option<Self> {
        let tag = input.tag();
        if tag.is_empty() || tag.len() > Self::MAX || !matches!(input.peek(), None | Some(b' ')) {
            return None;
        }
        Some(Self(tag.into()))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A command and its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The tag.
    pub tag: Tag,
    /// The command.
    pub command: Command,
}

/// Every command but APPEND, which [`super::Frame::Append`] brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// LOGOUT
    Logout,
    /// STARTTLS
    StartTls,
    /// AUTHENTICATE
    Authenticate(Authenticate),
    /// LOGIN
    Login(Login),
    /// ENABLE: capability names in capitals, at least one (RFC 5161).
    Enable(Vec<String>),
    /// ID: what the client tells of itself, empty for NIL (RFC 2971).
    Id(Vec<(String, Option<String>)>),
    /// SELECT and EXAMINE
    Select(Select),
    /// CREATE
    Create(Create),
    /// DELETE
    Delete(String),
    /// RENAME
    Rename(Rename),
    /// SUBSCRIBE
    Subscribe(String),
    /// UNSUBSCRIBE
    Unsubscribe(String),
    /// LIST
    List(List),
    /// LSUB
    Lsub(Lsub),
    /// NAMESPACE (RFC 2342)
    Namespace,
    /// STATUS
    Status(Status),
    /// IDLE (RFC 2177): then a line for which [`super::is_done`] holds.
    Idle,
    /// CHECK
    Check,
    /// CLOSE
    Close,
    /// UNSELECT (RFC 3691)
    Unselect,
    /// EXPUNGE, or with a set of UIDs UID EXPUNGE (RFC 4315 §2.1)
    Expunge(Option<SequenceSet>),
    /// SEARCH and UID SEARCH
    Search(Search),
    /// FETCH and UID FETCH
    Fetch(Fetch),
    /// STORE and UID STORE
    Store(Store),
    /// COPY and UID COPY
    Copy(Copy),
    /// MOVE and UID MOVE (RFC 6851)
    Move(Copy),
    /// GETQUOTA: a quota root (RFC 9208 §4.1.1).
    GetQuota(String),
    /// GETQUOTAROOT: a mailbox (RFC 9208 §4.1.2).
    GetQuotaRoot(String),
    /// SETQUOTA
    SetQuota(SetQuota),
}

impl Command {
    /// The command's name as in RFC 3501, for replies and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Capability => "CAPABILITY",
            Self::Noop => "NOOP",
            Self::Logout => "LOGOUT",
            Self::StartTls => "STARTTLS",
            Self::Authenticate(_) => "AUTHENTICATE",
            Self::Login(_) => "LOGIN",
            Self::Enable(_) => "ENABLE",
            Self::Id(_) => "ID",
            Self::Select(select) if select.read_only => "EXAMINE",
            Self::Select(_) => "SELECT",
            Self::Create(_) => "CREATE",
            Self::Delete(_) => "DELETE",
            Self::Rename(_) => "RENAME",
            Self::Subscribe(_) => "SUBSCRIBE",
            Self::Unsubscribe(_) => "UNSUBSCRIBE",
            Self::List(_) => "LIST",
            Self::Lsub(_) => "LSUB",
            Self::Namespace => "NAMESPACE",
            Self::Status(_) => "STATUS",
            Self::Idle => "IDLE",
            Self::Check => "CHECK",
            Self::Close => "CLOSE",
            Self::Unselect => "UNSELECT",
            Self::Expunge(_) => "EXPUNGE",
            Self::Search(_) => "SEARCH",
            Self::Fetch(_) => "FETCH",
            Self::Store(_) => "STORE",
            Self::Copy(_) => "COPY",
            Self::Move(_) => "MOVE",
            Self::GetQuota(_) => "GETQUOTA",
            Self::GetQuotaRoot(_) => "GETQUOTAROOT",
            Self::SetQuota(_) => "SETQUOTA",
        }
    }

    /// The longest name of a command.
    const MAX_NAME: usize = 12;

    /// Reads the name and the arguments of a command, up to its end.
    fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        input.space()?;
        let name = command_name(input)?;
        let command = match name.as_str() {
            "CAPABILITY" => Self::Capability,
            "NOOP" => Self::Noop,
            "LOGOUT" => Self::Logout,
            "STARTTLS" => Self::StartTls,
            "AUTHENTICATE" => Self::Authenticate(Authenticate::parse(input)?),
            "LOGIN" => Self::Login(Login::parse(input)?),
            "ENABLE" => Self::Enable(parse_enable(input)?),
            "ID" => Self::Id(parse_id(input)?),
            "SELECT" => Self::Select(Select::parse(input, false)?),
            "EXAMINE" => Self::Select(Select::parse(input, true)?),
            "CREATE" => Self::Create(Create::parse(input)?),
            "DELETE" => Self::Delete(input.space_mailbox()?),
            "RENAME" => Self::Rename(Rename::parse(input)?),
            "SUBSCRIBE" => Self::Subscribe(input.space_mailbox()?),
            "UNSUBSCRIBE" => Self::Unsubscribe(input.space_mailbox()?),
            "LIST" => Self::List(List::parse(input)?),
            "LSUB" => Self::Lsub(Lsub::parse(input)?),
            "NAMESPACE" => Self::Namespace,
            "STATUS" => Self::Status(Status::parse(input)?),
            "APPEND" => return Err(Problem::Value("APPEND ends in a message literal")),
            "IDLE" => Self::Idle,
            "CHECK" => Self::Check,
            "CLOSE" => Self::Close,
            "UNSELECT" => Self::Unselect,
            "EXPUNGE" => Self::Expunge(None),
            "GETQUOTA" => {
                input.space()?;
                Self::GetQuota(input.utf8_astring("a quota root")?)
            }
            "GETQUOTAROOT" => Self::GetQuotaRoot(input.space_mailbox()?),
            "SETQUOTA" => Self::SetQuota(SetQuota::parse(input)?),
            "UID" => Self::parse_uid(input)?,
            other => match Self::parse_by_number(input, other, false)? {
                Some(command) => command,
                None => return Err(Problem::UnknownCommand),
            },
        };
        input.end()?;
        Ok(command)
    }

    fn parse_uid(input: &mut Input<'_>) -> Result<Self, Problem> {
        input.space()?;
        let name = command_name(input)?;
        if name == "EXPUNGE" {
            input.space()?;
            return Ok(Self::Expunge(Some(SequenceSet::parse(input)?)));
        }
        Self::parse_by_number(input, &name, true)?.ok_or(Problem::Value(
            "UID goes with COPY, EXPUNGE, FETCH, MOVE, SEARCH and STORE",
        ))
    }

    /// The commands with and without UID.
    fn parse_by_number(
        input: &mut Input<'_>,
        name: &str,
        uid: bool,
    ) -> Result<Option<Self>, Problem> {
        Ok(Some(match name {
            "SEARCH" => Self::Search(Search::parse(input, uid)?),
            "FETCH" => Self::Fetch(Fetch::parse(input, uid)?),
            "STORE" => Self::Store(Store::parse(input, uid)?),
            "COPY" => Self::Copy(Copy::parse(input, uid)?),
            "MOVE" => Self::Move(Copy::parse(input, uid)?),
            _ => return Ok(None),
        }))
    }
}

impl Tagged {
    /// Reads a whole command: its line without the line end, literals in place.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, CommandError> {
        let mut input = Input::new(bytes);
        let tag = Tag::parse(&mut input);
        let failed = |tag, problem| CommandError {
            tag,
            problem,
            fatal: false,
        };
        let Some(tag) = tag else {
            return Err(failed(None, Problem::NoTag));
        };
        match Command::parse(&mut input) {
            Ok(command) => Ok(Self { tag, command }),
            Err(problem) => Err(failed(Some(tag), problem)),
        }
    }
}

/// If `bytes` are an APPEND without the literal at its end, what that literal
/// will bring.
pub(super) fn parse_append(bytes: &[u8]) -> Option<(Tag, Result<Coming, Problem>)> {
    let mut input = Input::new(bytes);
    let tag = Tag::parse(&mut input)?;
    input.space().ok()?;
    let name = command_name(&mut input).ok()?;
    (name == "APPEND").then(|| (tag, append::parse(&mut input)))
}

/// The name of a command, in capitals.
fn command_name(input: &mut Input<'_>) -> Result<String, Problem> {
    let name = input.atom("the name of a command")?;
    if name.len() > Command::MAX_NAME {
        return Err(Problem::UnknownCommand);
    }
    Ok(name.to_ascii_uppercase())
}

/// RFC 5161 §3.1.
fn parse_enable(input: &mut Input<'_>) -> Result<Vec<String>, Problem> {
    input.space()?;
    let mut names = vec![input.atom("a capability")?.to_ascii_uppercase()];
    while input.more() {
        names.push(input.atom("a capability")?.to_ascii_uppercase());
    }
    Ok(names)
}

/// RFC 2971 §3.1 and §3.3: at most 30 pairs, names up to 30 bytes, values up to 1024.
fn parse_id(input: &mut Input<'_>) -> Result<Vec<(String, Option<String>)>, Problem> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut pairs = Vec::new();
    input.space()?;
    if input.peek() != Some(b'(') {
        input.nil("a list of ID fields or NIL")?;
        return Ok(pairs);
    }
    if !input.open_maybe_empty_list("a list of ID fields")? {
        return Ok(pairs);
    }
    loop {
        let name = input.string("the name of an ID field")?;
        input.space()?;
        let value = input.nstring("the value of an ID field or NIL")?;
        if pairs.len() == 30 || name.len() > 30 || value.as_ref().is_some_and(|v| v.len() > 1024) {
            return Err(Problem::Value(
                "ID takes 30 fields, names of 30 bytes, values of 1024",
            ));
        }
        pairs.push((text(&name), value.as_deref().map(text)));
        if !input.list_goes_on()? {
            return Ok(pairs);
        }
    }
}

#[cfg(test)]
mod tests;
