//! From lines and literals to commands. Owns the bytes of the command that is
//! coming in, at most [`Limits::command`] of them; a message of APPEND passes by.
//!
//! The session reads a line, calls [`CommandReader::line`] and does what the
//! [`Frame`] says. It decides itself about timeouts and about what may be sent
//! in its state.

use super::append::{self, Append, AppendMessage, Coming};
use super::command::{Tag, Tagged, parse_append};
use super::error::{CommandError, Problem};
use super::input::Input;

/// Bounds for what a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes in a command: its lines and literals together, without
    /// messages of APPEND.
    pub command: usize,
    /// The most bytes of refused literals that are read and dropped to stay in
    /// step with a client that did not wait (LITERAL+). Beyond it the
    /// connection has to be closed.
    pub discard: u64,
}

impl Limits {
    /// For clients that are not logged in: 8 KiB, and 64 KiB to discard.
    pub const BEFORE_LOGIN: Self = Self {
        command: 8 * 1024,
        discard: 64 * 1024,
    };
}

impl Default for Limits {
    /// 64 KiB, and 64 MiB to discard.
    fn default() -> Self {
        Self {
            command: 64 * 1024,
            discard: 64 * 1024 * 1024,
        }
    }
}

/// What to do after a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole command: carry it out, then feed the next line.
    Command(Tagged),
    /// A literal of `length` bytes comes: send a continuation if the client
    /// waits for it, feed the bytes to [`CommandReader::literal`], then the
    /// next line.
    Literal {
        /// Bytes to read.
        length: usize,
        /// The client waits for a continuation.
        synchronising: bool,
    },
    /// APPEND, and a message comes. To take it: send a continuation if the
    /// client waits for it, read [`AppendMessage::length`] bytes without this
    /// reader, then feed the next line. To refuse it: answer the tag, and call
    /// [`CommandReader::refuse_append`].
    Append(Append),
    /// The same APPEND brings one more message (MULTIAPPEND); as above.
    AppendNext(AppendMessage),
    /// The end of APPEND: store its messages and answer it.
    AppendEnd,
    /// Read `length` bytes, drop them, then feed the next line.
    Discard {
        /// Bytes to drop.
        length: u64,
    },
    /// A refused APPEND that had to be read to its end has ended; it was
    /// answered before.
    Skipped,
    /// The command is in error; it was read to its end unless the error is
    /// fatal. Answer it with [`super::Writer::error`], then feed the next line.
    Invalid(CommandError),
}

/// Puts commands together, one after another.
#[derive(Debug)]
pub struct CommandReader {
    limits: Limits,
    /// The command so far: lines with CRLF, literals in place.
    buffer: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// A line comes; the buffer holds what came before it.
    Line,
    /// This many bytes of a literal come.
    Literal(usize),
    /// What follows a message of APPEND comes.
    AfterMessage(Tag),
    /// The rest of a refused command comes: `dropped` bytes so far.
    Skip {
        error: Option<CommandError>,
        dropped: u64,
    },
}

/// A literal's announcement at the end of a line.
struct Announced {
    length: u64,
    synchronising: bool,
    /// Where its `{` stands.
    at: usize,
}

impl CommandReader {
    /// A reader with these limits.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: Vec::new(),
            state: State::Line,
        }
    }

    /// Other limits from the next command on: after login.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether a command has begun and not ended.
    pub fn in_command(&self) -> bool {
        !matches!(self.state, State::Line) || !self.buffer.is_empty()
    }

    /// The most bytes, without its line end, that the next line may have. Tell
    /// of a longer one by [`CommandReader::line_too_long`].
    pub fn line_limit(&self) -> usize {
        self.limits.command.saturating_sub(self.buffer.len())
    }

    /// The next line, with its line end or without. A bare LF is taken as a
    /// line end; NUL, and CR or LF within the line, are an error.
    pub fn line(&mut self, line: &[u8]) -> Frame {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match std::mem::replace(&mut self.state, State::Line) {
            State::Line => self.command_line(line),
            State::Literal(missing) => {
                // The session fed a line too early: nothing is in step any more.
                debug_assert!(false, "{missing} bytes of a literal are missing");
                let tag = self.take_tag(line);
                self.fatal(tag, Problem::Value("a literal is incomplete"))
            }
            State::AfterMessage(tag) => self.append_line(tag, line),
            State::Skip { error, dropped } => match announced(line) {
                Some(literal) => self.skip_literal(error, dropped, &literal),
                None => end_skip(error),
            },
        }
    }

    /// Bytes of the announced literal; returns how many of them belong to it.
    /// Call it until the literal is complete.
    pub fn literal(&mut self, bytes: &[u8]) -> usize {
        let State::Literal(missing) = self.state else {
            return 0;
        };
        let taken = bytes.get(..missing).unwrap_or(bytes);
        self.buffer.extend_from_slice(taken);
        self.state = if taken.len() == missing {
            State::Line
        } else {
            State::Literal(missing - taken.len())
        };
        taken.len()
    }

    /// The message of the last [`Frame::Append`] or [`Frame::AppendNext`] is not
    /// wanted, and the command was answered so. None: the next line is a new
    /// command. Otherwise do what the frame says, which is to discard, or to
    /// close the connection.
    pub fn refuse_append(&mut self, message: &AppendMessage) -> Option<Frame> {
        self.refuse(None, message.length, message.synchronising)
    }

    /// A message of APPEND was read, but the command has failed and was
    /// answered: whatever is left of it is skipped until [`Frame::Skipped`].
    pub fn skip_append(&mut self) {
        self.buffer = Vec::new();
        self.state = State::Skip {
            error: None,
            dropped: 0,
        };
    }

    /// A line exceeds [`CommandReader::line_limit`]; `start` is what was read of
    /// it. The error is fatal: where the line ends is unknown.
    pub fn line_too_long(&mut self, start: &[u8]) -> CommandError {
        let tag = self.take_tag(start);
        self.reset();
        CommandError {
            tag,
            problem: Problem::TooLong(self.limits.command),
            fatal: true,
        }
    }

    fn reset(&mut self) {
        self.buffer = Vec::new();
        self.state = State::Line;
    }

    fn fatal(&mut self, tag: Option<Tag>, problem: Problem) -> Frame {
        self.reset();
        Frame::Invalid(CommandError {
            tag,
            problem,
            fatal: true,
        })
    }

    /// The tag of the command so far.
    fn take_tag(&self, line: &[u8]) -> Option<Tag> {
        let start = if self.buffer.is_empty() {
            line
        } else {
            &self.buffer
        };
        Tag::parse(&mut Input::new(start))
    }

    fn command_line(&mut self, line: &[u8]) -> Frame {
        let literal = announced(line);
        let checked = if line.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')) {
            Err(Problem::ForbiddenByte)
        } else if line.len() > self.line_limit() {
            Err(Problem::TooLong(self.limits.command))
        } else {
            Ok(())
        };
        if let Err(problem) = checked {
            let tag = self.take_tag(line);
            return self.invalid(tag, problem, literal.as_ref());
        }
        match literal {
            Some(literal) => self.line_with_literal(line, &literal),
            None if self.buffer.is_empty() => parsed(line),
            None => {
                self.buffer.extend_from_slice(line);
                let command = std::mem::take(&mut self.buffer);
                parsed(&command)
            }
        }
    }

    fn line_with_literal(&mut self, line: &[u8], literal: &Announced) -> Frame {
        let before = line.get(..literal.at).unwrap_or_default();
        self.buffer.extend_from_slice(before);
        if let Some((tag, coming)) = parse_append(&self.buffer) {
            match coming {
                Err(problem) => return self.invalid(Some(tag), problem, Some(literal)),
                Ok(Coming::Message(mailbox, flags, date)) => {
                    self.buffer = Vec::new();
                    self.state = State::AfterMessage(tag.clone());
                    return Frame::Append(Append {
                        tag,
                        mailbox,
                        message: AppendMessage {
                            flags,
                            date,
                            length: literal.length,
                            synchronising: literal.synchronising,
                        },
                    });
                }
                Ok(Coming::Name) => {}
            }
        }
        let announcement = line.get(literal.at..).unwrap_or_default();
        self.buffer.extend_from_slice(announcement);
        self.buffer.extend_from_slice(b"\r\n");
        match usize::try_from(literal.length) {
            Ok(length) if length <= self.line_limit() => {
                if length > 0 {
                    self.state = State::Literal(length);
                }
                Frame::Literal {
                    length,
                    synchronising: literal.synchronising,
                }
            }
            _ => {
                let tag = self.take_tag(line);
                let problem = Problem::TooLong(self.limits.command);
                self.invalid(tag, problem, Some(literal))
            }
        }
    }

    fn append_line(&mut self, tag: Tag, line: &[u8]) -> Frame {
        if line.iter().all(|&b| b == b' ') {
            return Frame::AppendEnd;
        }
        let literal = announced(line);
        let before = line.get(..literal.as_ref().map_or(line.len(), |l| l.at));
        let mut input = Input::new(before.unwrap_or_default());
        match (append::parse_message(&mut input), &literal) {
            (Ok((flags, date)), Some(announced)) => {
                self.state = State::AfterMessage(tag);
                Frame::AppendNext(AppendMessage {
                    flags,
                    date,
                    length: announced.length,
                    synchronising: announced.synchronising,
                })
            }
            (Ok(_), None) => {
                let problem = Problem::Value("APPEND ends in a message literal");
                self.invalid(Some(tag), problem, None)
            }
            (Err(problem), _) => self.invalid(Some(tag), problem, literal.as_ref()),
        }
    }

    /// The command is in error; `literal` is what its last line announces.
    fn invalid(
        &mut self,
        tag: Option<Tag>,
        problem: Problem,
        literal: Option<&Announced>,
    ) -> Frame {
        let error = CommandError {
            tag,
            problem,
            fatal: false,
        };
        self.reset();
        match literal {
            None => Frame::Invalid(error),
            Some(literal) => self.skip_literal(Some(error), 0, literal),
        }
    }

    fn skip_literal(
        &mut self,
        error: Option<CommandError>,
        dropped: u64,
        literal: &Announced,
    ) -> Frame {
        if literal.synchronising {
            // RFC 9051 §4.3: without a continuation the client sends no more of it.
            return end_skip(error);
        }
        // One more, so that empty literals do not go on for ever.
        let dropped = dropped.saturating_add(literal.length).saturating_add(1);
        if dropped > self.limits.discard {
            let (tag, problem) = match error {
                Some(error) => (error.tag, error.problem),
                None => (None, Problem::Value("too much to discard")),
            };
            return self.fatal(tag, problem);
        }
        self.state = State::Skip { error, dropped };
        Frame::Discard {
            length: literal.length,
        }
    }

    fn refuse(
        &mut self,
        error: Option<CommandError>,
        length: u64,
        synchronising: bool,
    ) -> Option<Frame> {
        self.reset();
        if synchronising {
            return None;
        }
        let literal = Announced {
            length,
            synchronising,
            at: 0,
        };
        Some(self.skip_literal(error, 0, &literal))
    }
}

fn end_skip(error: Option<CommandError>) -> Frame {
    error.map_or(Frame::Skipped, Frame::Invalid)
}

fn parsed(command: &[u8]) -> Frame {
    match Tagged::parse(command) {
        Ok(tagged) => Frame::Command(tagged),
        Err(error) => Frame::Invalid(error),
    }
}

/// `{123}` or `{123+}` (RFC 7888) at the end of `line`. A length beyond 64 bits
/// counts as the largest: it is refused either way.
fn announced(line: &[u8]) -> Option<Announced> {
    let inner = line.strip_suffix(b"}")?;
    let (inner, synchronising) = match inner.strip_suffix(b"+") {
        Some(inner) => (inner, false),
        None => (inner, true),
    };
    let digits = inner
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_digit())
        .count();
    let (before, digits) = inner.split_at(inner.len() - digits);
    let before = before.strip_suffix(b"{")?;
    if digits.is_empty() {
        return None;
    }
    let length = digits.iter().fold(0u64, |sum, b| {
        sum.saturating_mul(10).saturating_add(u64::from(b - b'0'))
    });
    Some(Announced {
        length,
        synchronising,
        at: before.len(),
    })
}

/// Whether `line`, with its line end or without, ends IDLE (RFC 2177 §3).
pub fn is_done(line: &[u8]) -> bool {
    line.trim_ascii_end().eq_ignore_ascii_case(b"DONE")
}

#[cfg(test)]
mod tests;
