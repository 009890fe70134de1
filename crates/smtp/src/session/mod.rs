//! One connection: reads commands, keeps the state they need, writes replies.
//! Each command's work is in a file of its own.
//!
//! Replies are gathered and sent when the session is about to wait, so that a
//! pipelined group (RFC 2920) is answered in one go.

mod admit;
mod auth;
mod bdat;
mod data;
mod deliver;
mod forward;
mod greet;
mod incoming;
mod lists;
mod mail;
mod postmaster;
mod queue;
mod rcpt;
mod relayed;
mod start_tls;
mod success;
mod warning;

use std::net::IpAddr;

use bytes::Bytes;
use metrics::counter;
use postrider_auth::Login;
use postrider_net::{Connection, Drain, ReadBuffer, ReadError};
use postrider_proto::smtp::{Command, MAX_AUTH_LINE, MAX_COMMAND_LINE, Reply};

use self::incoming::Incoming;
use crate::Role;
use crate::envelope::Envelope;
use crate::server::Shared;

/// Gathered replies are sent at this size even if more commands are waiting.
const MAX_OUTPUT: usize = 16 << 10;
/// Room for replies that an idle session keeps.
const KEPT_OUTPUT: usize = 512;
/// How much of a line that is too long is skipped before the session ends.
const MAX_SKIPPED: usize = 64 << 10;

/// What the client said of itself in EHLO, HELO or LHLO.
#[derive(Debug)]
struct Greeting {
    name: Box<str>,
    /// EHLO or LHLO.
    extended: bool,
}

/// A transaction from MAIL to the end of the content.
struct Transaction {
    envelope: Envelope,
    /// Content that BDAT has brought so far.
    incoming: Option<Box<Incoming>>,
}

/// The session is over; the reply, if there is one, is sent first.
struct End(Option<Reply>);

impl End {
    fn saying(code: u16, enhanced: (u8, u16, u16), text: &'static str) -> Self {
        Self(Some(Reply::new(code, enhanced, text)))
    }
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        match error {
            // RFC 5321 §4.5.3.2, RFC 3463 §3.5
            ReadError::TimedOut => Self::saying(421, (4, 4, 2), "you were silent for too long"),
            ReadError::TooSlow => Self::saying(421, (4, 4, 2), "the message comes too slowly"),
            ReadError::TooLong => Self::saying(421, (4, 7, 0), "the line is too long, goodbye"),
            ReadError::Closed | ReadError::Io(_) => Self(None),
        }
    }
}

/// A running session.
pub(crate) struct Session<'s> {
    server: &'s Shared,
    connection: Connection,
    drain: Drain,
    input: ReadBuffer,
    output: Vec<u8>,
    peer: IpAddr,
    trusted: bool,
    greeting: Option<Greeting>,
    login: Option<Login>,
    transaction: Option<Box<Transaction>>,
    /// Commands and 5xx replies since the last accepted message.
    commands: u32,
    errors: u32,
    login_failures: u32,
}

impl<'s> Session<'s> {
    pub(crate) fn new(server: &'s Shared, connection: Connection, drain: Drain) -> Self {
        let peer = connection.peer().ip();
        Self {
            server,
            connection,
            drain,
            input: ReadBuffer::new(),
            output: Vec::new(),
            peer,
            trusted: server.trusts(peer),
            greeting: None,
            login: None,
            transaction: None,
            commands: 0,
            errors: 0,
            login_failures: 0,
        }
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(mut self) {
        counter!("postrider_smtp_sessions_total", "role" => self.role().as_str()).increment(1);
        let protocol = if self.role() == Role::Lmtp {
            "LMTP"
        } else {
            "ESMTP"
        };
        let hostname = &self.server.settings.hostname;
        self.reply(&Reply::plain(
            220,
            format!("{hostname} {protocol} Postrider"),
        ));
        let End(last) = self.serve().await;
        if let Some(reply) = last {
            tracing::debug!(peer = %self.peer, code = reply.code(), text = reply.text(), "closing");
            self.reply(&reply);
            let _ = self.flush().await;
        }
        let stall = self.server.settings.write_timeout;
        self.connection.close(stall).await;
    }

    async fn serve(&mut self) -> End {
        loop {
            let done = match self.next_line(MAX_COMMAND_LINE).await {
                Ok(Some(line)) => self.command(&line).await,
                Ok(None) => Ok(()),
                Err(end) => return end,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// The next line without its CRLF; None where it was refused. Sends what is
    /// gathered before it waits.
    async fn next_line(&mut self, limit: usize) -> Result<Option<Bytes>, End> {
        loop {
            let limit = if self.next_is(b"AUTH ") {
                MAX_AUTH_LINE
            } else {
                limit
            };
            match self.input.next_line(limit) {
                Ok(Some(mut line)) => {
                    self.count_command()?;
                    // RFC 5321 §2.3.8: commands end with CRLF. What ends with
                    // a bare LF may be a leftover of smuggled content.
                    if !line.ends_with(b"\r\n") {
                        let text = "a command line ends with CRLF";
                        self.answer(&Reply::new(500, (5, 5, 2), text))?;
                        return Ok(None);
                    }
                    line.truncate(line.len() - 2);
                    if self.output.len() > MAX_OUTPUT {
                        self.flush().await?;
                    }
                    return Ok(Some(line));
                }
                Ok(None) => self.wait().await?,
                Err(_) => {
                    self.count_command()?;
                    let timeout = self.server.settings.command_timeout;
                    self.flush().await?;
                    self.input
                        .discard_line(&mut self.connection, MAX_SKIPPED, timeout)
                        .await?;
                    // RFC 5321 §4.5.3.1.9, RFC 4954 §4
                    self.answer(&Reply::new(500, (5, 5, 6), "the line is too long"))?;
                    return Ok(None);
                }
            }
        }
    }

    /// Whether the next command, as far as it is buffered, begins with `verb`.
    fn next_is(&self, verb: &[u8]) -> bool {
        let start = self.input.buffered().get(..verb.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(verb))
    }

    /// Sends what is gathered, then waits for more input or the drain.
    async fn wait(&mut self) -> Result<(), End> {
        self.flush().await?;
        let timeout = self.server.settings.command_timeout;
        tokio::select! {
            biased;
            // RFC 5321 §3.8
            () = self.drain.cancelled() => {
                Err(End::saying(421, (4, 3, 2), "the server is shutting down, try again later"))
            }
            read = self.input.fill(&mut self.connection, 0, timeout) => Ok(read.map(|_| ())?),
        }
    }

    async fn command(&mut self, line: &[u8]) -> Result<(), End> {
        let command = match Command::parse(line) {
            Ok(command) => command,
            Err(error) => return self.answer(&error.reply()),
        };
        let lmtp = self.role() == Role::Lmtp;
        // The futures that wait for others are boxed: an idle session holds none of them.
        match command {
            Command::Ehlo(name) if !lmtp => self.ehlo(name),
            Command::Helo(name) if !lmtp => self.helo(name),
            Command::Lhlo(name) if lmtp => self.ehlo(name),
            // RFC 2033 §4.1: each has its own greeting.
            Command::Ehlo(_) | Command::Helo(_) => self.refuse(500, (5, 5, 1), "say LHLO here"),
            Command::Lhlo(_) => self.refuse(500, (5, 5, 1), "say EHLO here"),
            Command::Mail(mail) => Box::pin(self.mail(mail)).await,
            Command::Rcpt(rcpt) => Box::pin(self.rcpt(rcpt)).await,
            Command::Data => Box::pin(self.data()).await,
            Command::Bdat { size, last } => Box::pin(self.bdat(size, last)).await,
            Command::Auth { mechanism, initial } => Box::pin(self.auth(mechanism, initial)).await,
            Command::StartTls => Box::pin(self.start_tls()).await,
            Command::Rset => {
                self.transaction = None;
                self.answer(&Reply::new(250, (2, 0, 0), "reset"))
            }
            Command::Noop => self.answer(&Reply::new(250, (2, 0, 0), "here")),
            // RFC 5321 §3.5.3: says nothing about who exists.
            Command::Vrfy => self.answer(&Reply::new(252, (2, 5, 0), "send, and you will see")),
            Command::Expn => self.refuse(502, (5, 5, 1), "EXPN is not offered"),
            Command::Help => self.answer(&Reply::new(214, (2, 0, 0), "see RFC 5321")),
            Command::Quit => Err(End::saying(221, (2, 0, 0), "goodbye")),
        }
    }

    fn role(&self) -> Role {
        self.server.role
    }

    /// Whether the sender is local: logged in, or from a trusted network.
    fn is_local(&self) -> bool {
        self.login.is_some() || self.trusted
    }

    /// Whether what this client asks for is counted by its address.
    fn is_limited(&self) -> bool {
        !self.trusted && self.role() != Role::Lmtp && !self.connection.is_loopback()
    }

    /// Gathers a reply.
    fn reply(&mut self, reply: &Reply) {
        reply.write_to(&mut self.output);
    }

    /// Gathers the reply to a command; ends the session after too many errors.
    fn answer(&mut self, reply: &Reply) -> Result<(), End> {
        self.reply(reply);
        if reply.is_positive() {
            return Ok(());
        }
        let status = reply.enhanced().map(|s| s.to_string()).unwrap_or_default();
        let role = self.role().as_str();
        counter!("postrider_smtp_refused_total", "role" => role, "status" => status).increment(1);
        if reply.code() >= 500 {
            self.errors = self.errors.saturating_add(1);
            let max = self.server.settings.max_errors;
            if max > 0 && self.errors >= max {
                tracing::info!(peer = %self.peer, "closing a session after too many errors");
                return Err(End::saying(421, (4, 7, 0), "too many errors, goodbye"));
            }
        }
        Ok(())
    }

    fn refuse(
        &mut self,
        code: u16,
        enhanced: (u8, u16, u16),
        text: &'static str,
    ) -> Result<(), End> {
        self.answer(&Reply::new(code, enhanced, text))
    }

    /// Logs the refusal of a sender, a recipient or a message.
    fn log_refusal(&self, what: &'static str, address: &str, reply: &Reply) {
        tracing::info!(
            role = self.role().as_str(),
            peer = %self.peer,
            what,
            address,
            code = reply.code(),
            reason = reply.text(),
            "refused"
        );
    }

    fn count_command(&mut self) -> Result<(), End> {
        self.commands = self.commands.saturating_add(1);
        let max = self.server.settings.max_commands;
        if max > 0 && self.commands > max {
            tracing::info!(peer = %self.peer, "closing a session after too many commands");
            return Err(End::saying(421, (4, 7, 0), "too many commands, goodbye"));
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), End> {
        if self.output.is_empty() {
            return Ok(());
        }
        let stall = self.server.settings.write_timeout;
        let sent = self.connection.send(&self.output, stall).await;
        self.output.clear();
        self.output.shrink_to(KEPT_OUTPUT);
        sent.map_err(|_| End(None))
    }
}
