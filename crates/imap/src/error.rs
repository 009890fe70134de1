//! Replies, and the one table that turns what went wrong into one.

use std::borrow::Cow;
use std::io;
use std::ops::RangeInclusive;

use postrider_meta::{self as meta, Refusal};
use postrider_net::ReadError;
use postrider_proto::imap::response::{Code, Condition};
use postrider_types::UidValidity;

/// A tagged reply without its tag.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) condition: Condition,
    pub(crate) code: Option<ReplyCode>,
    pub(crate) text: Cow<'static, str>,
}

/// A response code that owns what it tells.
#[derive(Debug)]
pub(crate) enum ReplyCode {
    Plain(Code<'static>),
    Capability(Vec<&'static str>),
    AppendUid(UidValidity, Vec<RangeInclusive<u32>>),
    CopyUid(
        UidValidity,
        Vec<RangeInclusive<u32>>,
        Vec<RangeInclusive<u32>>,
    ),
    Modified(Vec<RangeInclusive<u32>>),
}

impl ReplyCode {
    /// As the writer takes it.
    pub(crate) fn as_code(&self) -> Code<'_> {
        match self {
            Self::Plain(code) => *code,
            Self::Capability(names) => Code::Capability(names),
            Self::AppendUid(validity, uids) => Code::AppendUid {
                validity: *validity,
                uids,
            },
            Self::CopyUid(validity, from, to) => Code::CopyUid {
                validity: *validity,
                from,
                to,
            },
            Self::Modified(set) => Code::Modified(set),
        }
    }
}

impl Reply {
    /// `OK text`
    pub(crate) const fn ok(text: &'static str) -> Self {
        Self {
            condition: Condition::Ok,
            code: None,
            text: Cow::Borrowed(text),
        }
    }

    /// `NO [code] text`
    pub(crate) fn no(code: Code<'static>, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            condition: Condition::No,
            code: Some(ReplyCode::Plain(code)),
            text: text.into(),
        }
    }

    /// `BAD text`
    pub(crate) fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            condition: Condition::Bad,
            code: None,
            text: text.into(),
        }
    }

    /// The reply with this code.
    pub(crate) fn with(self, code: ReplyCode) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    /// For metrics.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self.condition {
            Condition::Ok => "ok",
            Condition::No => "no",
            _ => "bad",
        }
    }
}

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Fail {
    /// The client is told, and the session goes on.
    Reply(Reply),
    /// The session ends.
    End(End),
}

/// Why a session ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The client is gone, or nothing can be sent to it any more.
    Silent,
    /// `* BYE text`
    Bye(&'static str),
}

impl From<Reply> for Fail {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

impl From<End> for Fail {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl From<io::Error> for Fail {
    fn from(error: io::Error) -> Self {
        tracing::debug!(%error, "the client cannot be written to");
        Self::End(End::Silent)
    }
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::TimedOut => Self::Bye("you were silent for too long, connect again"),
            ReadError::TooSlow => Self::Bye("the data comes too slowly, connect again"),
            ReadError::TooLong => Self::Bye("the line is too long"),
            ReadError::Closed | ReadError::Io(_) => {
                tracing::debug!(%error, "the client is gone");
                Self::Silent
            }
        }
    }
}

impl From<ReadError> for Fail {
    fn from(error: ReadError) -> Self {
        Self::End(error.into())
    }
}

impl From<meta::Error> for Fail {
    fn from(error: meta::Error) -> Self {
        tracing::warn!(%error, "an IMAP command failed");
        Self::Reply(match error {
            meta::Error::Unavailable(_) => Reply::no(
                Code::Unavailable,
                "the mail store is not available right now, try again later",
            ),
            meta::Error::Full(_) => Reply::no(
                Code::Unavailable,
                "the mail store has no room left for now, try again later",
            ),
            meta::Error::Failed(_) => Reply::no(
                Code::ServerBug,
                "the mail store failed, tell your administrator",
            ),
        })
    }
}

impl From<Refusal> for Fail {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::NotFound(_) => Code::NonExistent,
            Refusal::Exists(_) => Code::AlreadyExists,
            Refusal::OverQuota => Code::OverQuota,
            Refusal::Closed => Code::ContactAdmin,
            Refusal::Invalid(_) => Code::Cannot,
            Refusal::Limit(_) => Code::Limit,
            Refusal::InUse(_) => Code::InUse,
            Refusal::InlineBudget | Refusal::BodyExpired => Code::Unavailable,
        };
        Self::Reply(Reply::no(code, refusal.to_string()))
    }
}

impl From<postrider_body::Error> for Fail {
    fn from(error: postrider_body::Error) -> Self {
        use postrider_body::Error as E;
        let reply = match &error {
            E::Unavailable(_) => Reply::no(
                Code::Unavailable,
                "the store for message bodies is not available right now, try again later",
            ),
            E::Crowded(_) => Reply::no(
                Code::Unavailable,
                "too many large messages at once, try again later",
            ),
            E::Damaged { .. } => Reply::no(
                Code::Corruption,
                "a message is damaged in the store, tell your administrator",
            ),
            E::NotFound(_) => {
                Reply::no(Code::ExpungeIssued, "some of the messages no longer exist")
            }
            E::TooLarge { .. } => Reply::no(Code::TooBig, error.to_string()),
        };
        if !matches!(error, E::NotFound(_) | E::TooLarge { .. }) {
            tracing::warn!(%error, "a message body failed");
        }
        Self::Reply(reply)
    }
}

impl From<postrider_message::Error> for Fail {
    fn from(error: postrider_message::Error) -> Self {
        tracing::error!(%error, "a message summary cannot be read");
        Self::Reply(Reply::no(
            Code::Corruption,
            "a message is damaged in the store, tell your administrator",
        ))
    }
}
