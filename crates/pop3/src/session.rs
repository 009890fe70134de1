//! One session: reads commands, answers all that came together with one write,
//! and ends.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use postrider_net::{Connection, Drain, ReadBuffer, ReadError};
use postrider_proto::pop3::{Command, ErrorCode, MAX_COMMAND_LINE, write_err, write_ok};
use tokio::time::Instant;
use tracing::debug;

use crate::ahead::Ahead;
use crate::command;
use crate::maildrop::Maildrop;
use crate::server::Shared;

/// Replies are sent once they are this long, however much more is to come.
const FLUSH_AT: usize = 64 * 1024;
/// An idle session keeps no larger buffer than this.
const KEEP: usize = 4 * 1024;

/// Why a session ends.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The last reply is written: send it and close.
    Bye,
    /// There is nobody to talk to, or nothing sensible can be said any more.
    Lost,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        debug!(%error, "the connection failed");
        Self::Lost
    }
}

/// What a command answers with: the replies are in [`Session::out`].
pub(crate) type Step = Result<(), Stop>;

/// One client's session.
pub(crate) struct Session<'a> {
    pub(crate) server: &'a Shared,
    pub(crate) connection: Connection,
    drain: Drain,
    pub(crate) input: ReadBuffer,
    /// Replies that were not sent.
    pub(crate) out: Vec<u8>,
    /// What USER said.
    pub(crate) user: Option<String>,
    /// Open once the login succeeded: the TRANSACTION state.
    pub(crate) maildrop: Option<Maildrop>,
    pub(crate) ahead: Ahead,
    pub(crate) failed_logins: u32,
    errors: u32,
    /// Until when the client must have logged in.
    login_until: Instant,
}

impl<'a> Session<'a> {
    pub(crate) fn new(server: &'a Shared, connection: Connection, drain: Drain) -> Self {
        Self {
            server,
            connection,
            drain,
            input: ReadBuffer::new(),
            out: Vec::new(),
            user: None,
            maildrop: None,
            ahead: Ahead::default(),
            failed_logins: 0,
            errors: 0,
            login_until: Instant::now() + server.settings.idle_timeout,
        }
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(mut self) {
        self.ok("Postrider POP3 ready");
        loop {
            match self.step().await {
                Ok(()) => {}
                Err(Stop::Lost) => return,
                Err(Stop::Bye) => {
                    if self.flush().await.is_ok() {
                        let stall = self.server.settings.write_timeout;
                        self.connection.close(stall).await;
                    }
                    return;
                }
            }
        }
    }

    async fn step(&mut self) -> Step {
        let line = self.read_line().await?;
        match Command::parse(&line) {
            Ok(command) => self.execute(command).await?,
            Err(error) => self.wrong(&error.to_string())?,
        }
        if self.out.len() >= FLUSH_AT {
            self.flush().await?;
        }
        Ok(())
    }

    /// The client's next line. Sends the replies first, if the line is not here yet.
    pub(crate) async fn read_line(&mut self) -> Result<Bytes, Stop> {
        match self.input.next_line(MAX_COMMAND_LINE) {
            Ok(Some(line)) if !self.drain.is_draining() => return Ok(line),
            Ok(_) => self.flush().await?,
            Err(_) => return Err(self.refuse_line()),
        }
        let timeout = self.timeout();
        let read = self
            .input
            .read_line(&mut self.connection, MAX_COMMAND_LINE, timeout);
        let Some(read) = unless(&self.drain, read).await else {
            // RFC 1939 §3: no UPDATE state; the client tries again elsewhere.
            self.err(ErrorCode::SysTemp, "the server is shutting down, try again");
            return Err(Stop::Bye);
        };
        match read {
            Ok(line) => Ok(line),
            Err(ReadError::TooLong) => Err(self.refuse_line()),
            // RFC 1939 §3: closes without removing any messages.
            Err(ReadError::TimedOut | ReadError::TooSlow) => {
                self.err(ErrorCode::None, "you were silent for too long");
                Err(Stop::Bye)
            }
            Err(ReadError::Closed) => Err(Stop::Lost),
            Err(ReadError::Io(error)) => Err(error.into()),
        }
    }

    fn timeout(&self) -> Duration {
        let idle = self.server.settings.idle_timeout;
        match self.maildrop {
            Some(_) => idle,
            None => idle.min(self.login_until.saturating_duration_since(Instant::now())),
        }
    }

    fn refuse_line(&mut self) -> Stop {
        self.err(ErrorCode::None, "the line is too long");
        Stop::Bye
    }

    async fn execute(&mut self, command: Command) -> Step {
        let state = command::state(&command);
        if !state.allows(self.maildrop.is_some()) {
            return self.wrong(state.refusal());
        }
        match command {
            Command::Auth { mechanism, initial } => {
                command::auth::run(self, mechanism, initial).await
            }
            Command::Capa => command::capa::run(self),
            Command::Dele(message) => command::dele::run(self, message),
            Command::List(message) => command::list::run(self, message),
            Command::Noop => command::noop::run(self),
            Command::Pass(password) => command::pass::run(self, &password).await,
            Command::Quit => command::quit::run(self).await,
            Command::Retr(message) => command::retr::run(self, message).await,
            Command::Rset => command::rset::run(self),
            Command::Stat => command::stat::run(self),
            Command::Stls => command::stls::run(self).await,
            Command::Top(message, lines) => command::top::run(self, message, lines).await,
            Command::Uidl(message) => command::uidl::run(self, message),
            Command::User(name) => command::user::run(self, name),
        }
    }

    /// Writes `+OK text`.
    pub(crate) fn ok(&mut self, text: &str) {
        write_ok(text, &mut self.out);
    }

    /// Writes `-ERR [code] text`.
    pub(crate) fn err(&mut self, code: ErrorCode, text: &str) {
        write_err(code, text, &mut self.out);
    }

    /// Answers a command that makes no sense; too many of them end the session.
    pub(crate) fn wrong(&mut self, text: &str) -> Step {
        self.err(ErrorCode::None, text);
        self.errors = self.errors.saturating_add(1);
        let max = self.server.settings.max_errors;
        if max > 0 && self.errors >= max {
            counter!("postrider_protocol_errors_total", "protocol" => "pop3").increment(1);
            self.err(ErrorCode::None, "too many wrong commands");
            return Err(Stop::Bye);
        }
        Ok(())
    }

    /// Whether a password may be sent now.
    pub(crate) fn may_log_in(&self) -> bool {
        let loopback = self.server.settings.plain_login_from_loopback;
        self.connection.is_tls() || (loopback && self.connection.is_loopback())
    }

    /// Whether STLS would succeed now.
    pub(crate) fn may_start_tls(&self) -> bool {
        self.server.handles.tls.is_some() && !self.connection.is_tls() && self.maildrop.is_none()
    }

    /// Sends the replies so far.
    pub(crate) async fn flush(&mut self) -> Step {
        if self.out.is_empty() {
            return Ok(());
        }
        self.connection
            .send(&self.out, self.server.settings.write_timeout)
            .await?;
        self.out.clear();
        if self.input.is_empty() {
            self.out.shrink_to(KEEP);
        }
        Ok(())
    }

    /// Sends the replies so far, if they are long.
    pub(crate) async fn flush_if_long(&mut self) -> Step {
        if self.out.len() >= FLUSH_AT {
            self.flush().await
        } else {
            Ok(())
        }
    }
}

/// What `action` gives, None if the drain begins before.
async fn unless<T>(drain: &Drain, action: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = drain.cancelled() => None,
        done = action => Some(done),
    }
}
