//! Responses as bytes. A [`Writer`] owns the output buffer; its methods append
//! whole responses, or the pieces of a FETCH response between which the
//! session may flush the buffer and stream a body.

mod code;
mod data;
mod envelope;
mod fetch;
mod structure;
mod text;

pub use code::{Code, Condition};
pub use data::{Attribute, ExtendedSearch, Resource};
pub use envelope::{Address, AddressField, Envelope};
pub use structure::{Disposition, Part};

use super::command::Tag;
use super::error::{CommandError, Problem};

/// The output buffer and what may be written into it.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
    /// The next FETCH item is not the first: a space goes before it.
    separate: bool,
}

impl Writer {
    /// An empty writer.
    pub const fn new() -> Self {
        Self {
            out: Vec::new(),
            separate: false,
        }
    }

    /// What was written since the last [`Writer::clear`].
    pub fn bytes(&self) -> &[u8] {
        &self.out
    }

    /// How many bytes that is.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Forgets the bytes, which were sent, and keeps at most `keep` bytes of
    /// memory for the next.
    pub fn clear(&mut self, keep: usize) {
        self.out.clear();
        if self.out.capacity() > keep {
            self.out.shrink_to(keep);
        }
    }

    /// Takes the buffer out.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Appends raw bytes: the content of an announced literal, or a response
    /// for which there is no method.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// `tag OK [code] text`
    pub fn tagged(&mut self, tag: &Tag, condition: Condition, code: Option<&Code<'_>>, text: &str) {
        self.out.extend_from_slice(tag.as_str().as_bytes());
        self.condition(condition, code, text);
    }

    /// `* OK [code] text`
    pub fn untagged(&mut self, condition: Condition, code: Option<&Code<'_>>, text: &str) {
        self.out.push(b'*');
        self.condition(condition, code, text);
    }

    /// `+ text`: a continuation request. For SASL the text is base64 and may be
    /// empty.
    pub fn continuation(&mut self, text: &str) {
        self.out.extend_from_slice(b"+ ");
        if !text.is_empty() {
            text::human(&mut self.out, text);
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// The reply to a command in error. A fatal one is answered `* BYE`: close
    /// the connection after it.
    /// Returns the condition that was told.
    pub fn error(&mut self, error: &CommandError) -> Condition {
        let text = error.problem.to_string();
        let (condition, code) = match error.problem {
            Problem::Charset => (
                Condition::No,
                Some(Code::BadCharset(&["US-ASCII", "UTF-8"])),
            ),
            // RFC 5530 §3
            Problem::Depth => (Condition::No, Some(Code::Limit)),
            Problem::MailboxName(_) => (Condition::No, Some(Code::Cannot)),
            Problem::Flag(_) => (Condition::Bad, Some(Code::ClientBug)),
            Problem::TooLong(_) => (Condition::Bad, Some(Code::Limit)),
            _ => (Condition::Bad, None),
        };
        match &error.tag {
            Some(tag) => self.tagged(tag, condition, code.as_ref(), &text),
            None if error.fatal => {}
            // RFC 3501 §7.1.3: without a tag, an untagged BAD.
            None => self.untagged(Condition::Bad, code.as_ref(), &text),
        }
        if error.fatal {
            self.untagged(Condition::Bye, None, &text);
        }
        condition
    }

    fn condition(&mut self, condition: Condition, code: Option<&Code<'_>>, text: &str) {
        self.out.push(b' ');
        self.out.extend_from_slice(condition.as_str().as_bytes());
        self.out.push(b' ');
        if let Some(code) = code {
            self.out.push(b'[');
            code.write(&mut self.out);
            self.out.extend_from_slice(b"] ");
        }
        text::human(&mut self.out, text);
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests;
