//! [`Session`]: one connection from its greeting to its end.
//!
//! Owns the loop that reads commands, checks that the state allows them, hands
//! them to `command/`, tells the changes of the selected mailbox and answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_meta::Token;
use postrider_net::{Connection, Drain, Pace, ReadBuffer, ReadError};
use postrider_proto::imap::response::{Code, Condition};
use postrider_proto::imap::{
    Append, AppendMessage, Command, CommandReader, Frame, Limits, Tag, Tagged,
};
use tokio::time::Instant;

use crate::account::Account;
use crate::error::{End, Fail, Reply};
use crate::output::Output;
use crate::selected::Selected;
use crate::server::Shared;
use crate::table::{self, Allowed, Expunges, Look, Rule};
use crate::{capability, command, metric};

/// What the node says when it stops.
pub(crate) const DRAINING: &str = "the server is shutting down, connect again";

/// One session.
pub(crate) struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) drain: Drain,
    pub(crate) input: ReadBuffer,
    pub(crate) reader: CommandReader,
    pub(crate) out: Output,
    /// Who is logged in.
    pub(crate) login: Option<Account>,
    /// The selected mailbox; only with a login.
    pub(crate) selected: Option<Box<Selected>>,
    /// The newest state this session was answered from.
    pub(crate) token: Token,
    /// The client was told that what it sees may be old.
    pub(crate) stale: bool,
    /// The client used CONDSTORE: MODSEQ goes with every FETCH response
    /// (RFC 7162 §3.1).
    pub(crate) condstore: bool,
    pub(crate) login_failures: u32,
    bad_commands: u32,
    login_deadline: Instant,
}

impl Session {
    /// A session that has not begun.
    pub(crate) fn new(shared: Arc<Shared>, connection: Connection, drain: Drain) -> Self {
        let out = Output::new(connection, shared.settings.write_timeout);
        Self {
            drain,
            input: ReadBuffer::new(),
            reader: CommandReader::new(Limits::BEFORE_LOGIN),
            out,
            login: None,
            selected: None,
            token: Token::default(),
            stale: false,
            condstore: false,
            login_failures: 0,
            bad_commands: 0,
            login_deadline: Instant::now() + shared.settings.login_timeout,
            shared,
        }
    }

    /// Serves the client until either side closes.
    pub(crate) async fn run(mut self) {
        let Err(end) = self.talk().await;
        if let End::Bye(text) = end {
            self.out.untagged(Condition::Bye, None, text);
        }
        if self.selected.is_some() {
            Box::pin(self.deselect()).await;
        }
        Box::pin(self.out.close()).await;
    }

    /// Whether STARTTLS is possible now.
    pub(crate) fn may_start_tls(&self) -> bool {
        self.shared.handles.tls.is_some() && !self.out.connection.is_tls()
    }

    /// Whether a password may come over this connection.
    pub(crate) fn may_log_in(&self) -> bool {
        let connection = &self.out.connection;
        let local = self.shared.settings.plain_login_from_loopback && connection.is_loopback();
        connection.is_tls() || local
    }

    async fn talk(&mut self) -> Result<Infallible, End> {
        let names = capability::names(self);
        // RFC 3501 §7.1: the capabilities in the greeting spare a round trip.
        self.out.untagged(
            Condition::Ok,
            Some(&Code::Capability(&names)),
            "Postrider is ready",
        );
        drop(names);
        loop {
            match self.next_frame().await? {
                Frame::Command(tagged) => Box::pin(self.command(tagged)).await?,
                Frame::Append(append) => Box::pin(self.append(append)).await?,
                Frame::Invalid(error) => {
                    let condition = self.out.error(&error);
                    if error.fatal {
                        return Err(End::Silent);
                    }
                    let bad = condition == Condition::Bad;
                    metric::command("invalid", if bad { "bad" } else { "no" });
                    self.count_bad(bad)?;
                }
                // What remained of an APPEND that was answered.
                Frame::Skipped => {}
                Frame::AppendNext(_) | Frame::AppendEnd => {
                    debug_assert!(false, "only after Append");
                    return Err(End::Bye("the command cannot be understood"));
                }
                Frame::Literal { .. } | Frame::Discard { .. } => {
                    debug_assert!(false, "next_frame deals with them");
                }
            }
        }
    }

    /// Reads up to the end of a command, or to a message of APPEND.
    pub(crate) async fn next_frame(&mut self) -> Result<Frame, End> {
        loop {
            let line = self.next_line().await?;
            let frame = self.reader.line(&line);
            drop(line);
            match frame {
                Frame::Literal {
                    length,
                    synchronising,
                } => self.read_literal(length, synchronising).await?,
                Frame::Discard { length } => self.discard(length).await?,
                frame => return Ok(frame),
            }
        }
    }

    async fn next_line(&mut self) -> Result<Bytes, End> {
        let limit = self.reader.line_limit().saturating_add(2);
        match self.input.next_line(limit) {
            Ok(Some(line)) => return Ok(line),
            Ok(None) => {}
            Err(_) => return Err(self.line_too_long()),
        }
        self.flush().await?;
        let between = !self.reader.in_command();
        let settings = &self.shared.settings;
        let timeout = if between {
            settings.idle_timeout
        } else {
            settings.read_timeout
        };
        let line = tokio::select! {
            biased;
            () = self.drain.cancelled(), if between => return Err(End::Bye(DRAINING)),
            () = tokio::time::sleep_until(self.login_deadline), if self.login.is_none() => {
                return Err(End::Bye("the login took too long"));
            }
            line = self.input.read_line(&mut self.out.connection, limit, timeout) => line,
        };
        match line {
            Err(ReadError::TooLong) => Err(self.line_too_long()),
            line => Ok(line?),
        }
    }

    fn line_too_long(&mut self) -> End {
        let error = self.reader.line_too_long(self.input.buffered());
        self.out.error(&error);
        End::Silent
    }

    async fn read_literal(&mut self, length: usize, synchronising: bool) -> Result<(), End> {
        if synchronising {
            self.out.continuation("go ahead");
        }
        let mut missing = length;
        let mut pace = self.pace();
        while missing > 0 {
            let chunk = self.read_chunk(missing as u64, &mut pace).await?;
            missing -= self.reader.literal(&chunk).min(missing);
        }
        Ok(())
    }

    /// The pace of a literal that begins.
    pub(crate) fn pace(&self) -> Pace {
        Pace::new(self.shared.settings.min_data_rate)
    }

    /// Some of the `missing` bytes of a literal.
    pub(crate) async fn read_chunk(&mut self, missing: u64, pace: &mut Pace) -> Result<Bytes, End> {
        if self.input.is_empty() {
            // What was answered is not held back while the rest comes.
            self.flush().await?;
        }
        let max = usize::try_from(missing).unwrap_or(usize::MAX);
        let timeout = self.shared.settings.read_timeout;
        let read = self
            .input
            .read_chunk(&mut self.out.connection, max, timeout, pace);
        if self.login.is_some() {
            return Ok(read.await?);
        }
        match tokio::time::timeout_at(self.login_deadline, read).await {
            Ok(chunk) => Ok(chunk?),
            Err(_) => Err(End::Bye("the login took too long")),
        }
    }

    /// Reads and drops.
    pub(crate) async fn discard(&mut self, length: u64) -> Result<(), End> {
        let mut missing = length;
        let mut pace = self.pace();
        while missing > 0 {
            let chunk = self.read_chunk(missing, &mut pace).await?;
            missing = missing.saturating_sub(chunk.len() as u64);
        }
        Ok(())
    }

    /// Sends what waits for the client.
    pub(crate) async fn flush(&mut self) -> Result<(), End> {
        self.out.flush().await.map_err(|error| {
            tracing::debug!(%error, "the client cannot be written to");
            End::Silent
        })
    }

    /// One more line of a SASL exchange or of IDLE.
    pub(crate) async fn answer_line(&mut self, limit: usize, wait: Duration) -> Result<Bytes, End> {
        let line = self.input.read_line(&mut self.out.connection, limit, wait);
        if self.login.is_some() {
            return Ok(line.await?);
        }
        match tokio::time::timeout_at(self.login_deadline, line).await {
            Ok(line) => Ok(line?),
            Err(_) => Err(End::Bye("the login took too long")),
        }
    }

    /// Does what follows from a message of APPEND that is not wanted.
    pub(crate) async fn refuse_append(&mut self, message: &AppendMessage) -> Result<(), End> {
        match self.reader.refuse_append(message) {
            Some(Frame::Discard { length }) => self.discard(length).await,
            Some(_) => Err(End::Bye("the message is too large to be skipped")),
            None => Ok(()),
        }
    }

    fn count_bad(&mut self, bad: bool) -> Result<(), End> {
        self.bad_commands = if bad { self.bad_commands + 1 } else { 0 };
        if self.bad_commands >= self.shared.settings.max_bad_commands.max(1) {
            return Err(End::Bye("too many commands in error"));
        }
        Ok(())
    }

    /// Why `rule` does not allow its command now.
    fn refuses(&self, rule: &Rule) -> Option<Reply> {
        let text = match rule.allowed {
            Allowed::NotAuthenticated if self.login.is_some() => "you are logged in already",
            Allowed::Authenticated | Allowed::Selected if self.login.is_none() => "log in first",
            Allowed::Selected if self.selected.is_none() => "select a mailbox first",
            _ => return None,
        };
        Some(Reply::bad(text))
    }

    async fn command(&mut self, tagged: Tagged) -> Result<(), End> {
        self.notice_standing();
        Box::pin(self.check_open()).await?;
        let rule = table::find(tagged.command.name());
        let (result, mut ran) = match self.refuses(&rule) {
            Some(reply) => (Ok(reply), false),
            None => (command::run(self, &tagged).await, true),
        };
        let reply = reply_of(result)?;
        ran &= reply.condition != Condition::Bad;
        let uid = command::is_by_uid(&tagged.command);
        self.finish(&tagged.tag, &rule, uid, reply).await?;
        match tagged.command {
            Command::Logout => return Err(End::Silent),
            Command::StartTls if ran && self.may_start_tls() => self.start_tls().await?,
            _ => {}
        }
        Ok(())
    }

    async fn append(&mut self, append: Append) -> Result<(), End> {
        self.notice_standing();
        Box::pin(self.check_open()).await?;
        let rule = table::find("APPEND");
        let result = match self.refuses(&rule) {
            Some(reply) => {
                self.refuse_append(&append.message).await?;
                Ok(reply)
            }
            None => Box::pin(command::append::run(self, &append)).await,
        };
        let reply = reply_of(result)?;
        self.finish(&append.tag, &rule, false, reply).await
    }

    /// Tells the changes of the selected mailbox, then answers.
    async fn finish(
        &mut self,
        tag: &Tag,
        rule: &Rule,
        uid: bool,
        mut reply: Reply,
    ) -> Result<(), End> {
        let bad = reply.condition == Condition::Bad;
        if self.selected.is_some() && !bad {
            let expunges = uid || rule.expunges == Expunges::Yes;
            let told = Box::pin(self.tell_changes(rule.look, expunges)).await;
            match told {
                Err(Fail::End(end)) => return Err(end),
                // To look was what the command was for.
                Err(Fail::Reply(failed)) if rule.look == Look::Latest => reply = failed,
                // The next command looks again: the answer to this one stands.
                Err(Fail::Reply(_)) | Ok(()) => {}
            }
        }
        metric::command(rule.name, reply.outcome());
        let code = reply.code.as_ref().map(|code| code.as_code());
        self.out
            .tagged(tag, reply.condition, code.as_ref(), &reply.text);
        self.count_bad(bad)
    }

    /// After the tagged OK of STARTTLS (RFC 3501 §6.2.1).
    async fn start_tls(&mut self) -> Result<(), End> {
        let Some(tls) = self.shared.handles.tls.clone() else {
            return Ok(());
        };
        self.flush().await?;
        // Whatever came in the clear after the command was not the client's.
        let dropped = self.input.discard();
        if dropped > 0 {
            tracing::info!(dropped, "dropped plaintext behind STARTTLS");
        }
        self.reader = CommandReader::new(Limits::BEFORE_LOGIN);
        if let Err(error) = Box::pin(self.out.connection.start_tls(&tls)).await {
            tracing::debug!(%error, "the TLS handshake failed");
            return Err(End::Silent);
        }
        Ok(())
    }
}

fn reply_of(result: Result<Reply, Fail>) -> Result<Reply, End> {
    match result {
        Ok(reply) | Err(Fail::Reply(reply)) => Ok(reply),
        Err(Fail::End(end)) => Err(end),
    }
}
