//! What is wrong with a command, and the reply that says so.

use postrider_types::FlagError;

use super::command::Tag;
use super::mutf7;

/// A command that cannot be carried out as it stands. [`super::Writer::error`]
/// writes the reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct CommandError {
    /// The command's tag, if one was readable; without it the reply is untagged.
    pub tag: Option<Tag>,
    /// What is wrong.
    pub problem: Problem,
    /// The connection can no longer be read in step with the client: say so
    /// (`* BYE`) and close.
    pub fatal: bool,
}

/// What is wrong with a command. The texts are shown to clients: printable ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No tag, or an empty line.
    #[error("no tag; a command is: tag SP name SP arguments")]
    NoTag,
    /// A name that is no command.
    #[error("unknown command")]
    UnknownCommand,
    /// Something else stands where the grammar wants `expected`.
    #[error("expected {expected} at byte {at} of the command")]
    Syntax {
        /// What the grammar wants.
        expected: &'static str,
        /// Counted from the tag's first byte, literals included.
        at: usize,
    },
    /// Well-formed, with a value that is not allowed.
    #[error("{0}")]
    Value(&'static str),
    /// A mailbox name that is not valid modified UTF-7.
    #[error("{0}")]
    MailboxName(#[from] mutf7::Error),
    /// A word that is no flag.
    #[error("{0}")]
    Flag(#[from] FlagError),
    /// SEARCH in a charset other than US-ASCII and UTF-8: a NO with BADCHARSET
    /// (RFC 3501 §6.4.4).
    #[error("charset not supported, use UTF-8")]
    Charset,
    /// Search keys nested deeper than [`super::SearchKey::MAX_DEPTH`]: a NO with
    /// LIMIT, since the command is well-formed.
    #[error("search keys are nested too deep, split the search")]
    Depth,
    /// The command with its literals is longer than the limit in bytes.
    #[error("command longer than {0} bytes")]
    TooLong(usize),
    /// A NUL anywhere, or a CR or LF inside a line.
    #[error("NUL, bare CR or bare LF in a command")]
    ForbiddenByte,
}
