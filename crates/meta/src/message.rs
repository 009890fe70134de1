//! Rules for messages that several commands share.

use postrider_types::Flags;

use crate::api::Refusal;
use crate::limit;

/// Refuses more flags than a message may have.
pub(crate) fn check_flags(flags: &Flags) -> Result<(), Refusal> {
    if flags.len() > Flags::MAX {
        return Err(Refusal::Limit(format!(
            "a message has at most {} flags",
            Flags::MAX
        )));
    }
    Ok(())
}

/// Refuses a prefix that is too long or would run into the body.
pub(crate) fn check_prefix(prefix: &[u8]) -> Result<(), Refusal> {
    if prefix.len() > limit::PREFIX {
        return Err(Refusal::Limit(format!(
            "header fields added on arrival have at most {} bytes",
            limit::PREFIX
        )));
    }
    if !prefix.is_empty() && !prefix.ends_with(b"\r\n") {
        let text = "header fields added on arrival end in CRLF";
        return Err(Refusal::Invalid(text.into()));
    }
    Ok(())
}

/// Refuses more messages than one command changes.
pub(crate) fn check_count(count: usize) -> Result<(), Refusal> {
    if count > limit::MESSAGES {
        return Err(Refusal::Limit(format!(
            "one command changes at most {} messages: split it",
            limit::MESSAGES
        )));
    }
    Ok(())
}

/// The mailbox of a session is gone.
pub(crate) fn no_mailbox() -> Refusal {
    Refusal::NotFound("mailbox any more: it was deleted".into())
}
