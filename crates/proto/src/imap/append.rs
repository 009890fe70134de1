//! APPEND (RFC 3501 §6.3.11) and its repeated form MULTIAPPEND (RFC 3502): the
//! parts before each message literal. The messages themselves never come here.

use postrider_types::Flags;

use super::command::Tag;
use super::date::DateTime;
use super::error::Problem;
use super::flag;
use super::input::Input;

/// An APPEND up to its first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The command's tag.
    pub tag: Tag,
    /// The mailbox.
    pub mailbox: String,
    /// The first message.
    pub message: AppendMessage,
}

/// What stands before a message of APPEND.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendMessage {
    /// Its flags.
    pub flags: Flags,
    /// Its INTERNALDATE; None for now.
    pub date: Option<DateTime>,
    /// Its length in bytes, not checked against any limit.
    pub length: u64,
    /// The client waits for a continuation before it sends the message.
    pub synchronising: bool,
}

/// What an APPEND that ends in a literal is about to send.
pub(super) enum Coming {
    /// The mailbox name.
    Name,
    /// The first message to this mailbox.
    Message(String, Flags, Option<DateTime>),
}

/// Reads an APPEND after its name up to (without) the literal at its end.
pub(super) fn parse(input: &mut Input<'_>) -> Result<Coming, Problem> {
    input.space()?;
    if input.at_end() {
        return Ok(Coming::Name);
    }
    let mailbox = input.mailbox()?;
    let (flags, date) = parse_message(input)?;
    Ok(Coming::Message(mailbox, flags, date))
}

/// Reads what stands before a message up to (without) its literal: a space,
/// then perhaps flags and a date, each with a space behind it.
pub(super) fn parse_message(input: &mut Input<'_>) -> Result<(Flags, Option<DateTime>), Problem> {
    input.space()?;
    let mut flags = Flags::new();
    if input.peek() == Some(b'(') {
        flags = flag::parse_list(input)?;
        input.space()?;
    }
    let mut date = None;
    if input.peek() == Some(b'"') {
        date = Some(DateTime::parse(input)?);
        input.space()?;
    }
    if !input.at_end() {
        return input.fail("flags, a date-time or a message literal");
    }
    Ok((flags, date))
}
