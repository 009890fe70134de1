//! One connection to a peer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use postrider_proto::smtp::client::{Capabilities, Reply, Request};

use crate::failure::{Failure, Phase};
use crate::security::TlsFacts;
use crate::settings::Settings;
use crate::wire::{Wire, WireError};

/// RFC 5321 §4.1.1.10 has clients wait for the reply to QUIT; it changes nothing.
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that was greeted, is as secure as demanded, and takes messages
/// one after the other.
///
/// A future of it that is dropped before its end leaves the connection
/// unusable, and the message it was about unfinished.
#[derive(Debug)]
pub struct Connection {
    pub(crate) wire: Wire,
    pub(crate) settings: Arc<Settings>,
    pub(crate) capabilities: Capabilities,
    pub(crate) tls: Option<TlsFacts>,
    /// Our address.
    local: Option<IpAddr>,
    /// Both sides agree on what comes next: a command.
    pub(crate) usable: bool,
    /// A transaction has begun and was not completed: RSET comes first.
    pub(crate) begun: bool,
}

impl Connection {
    pub(crate) fn new(wire: Wire, local: Option<IpAddr>, settings: Arc<Settings>) -> Self {
        Self {
            wire,
            local,
            settings,
            capabilities: Capabilities::default(),
            tls: None,
            usable: true,
            begun: false,
        }
    }

    /// What the peer offers, after TLS where there is any.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// What protects the connection; None in the clear.
    pub fn tls(&self) -> Option<TlsFacts> {
        self.tls
    }

    /// Our address, which the peer sees unless it is translated on the way; None
    /// where the operating system does not tell.
    pub fn local(&self) -> Option<IpAddr> {
        self.local
    }

    /// Whether another message can be sent. The peer may still have closed the
    /// connection meanwhile: then [`Self::send`] fails in [`Phase::Mail`] (or
    /// [`Phase::Reset`]), and a new connection is worth a try.
    pub fn is_usable(&self) -> bool {
        self.usable && self.wire.is_silent()
    }

    /// Gives up a transaction that was not completed (RSET). [`Self::send`]
    /// does so by itself; also tells whether the peer is still there.
    pub async fn reset(&mut self) -> Result<(), Failure> {
        self.take_up(Phase::Reset)?;
        let limit = self.settings.command_timeout;
        let reply = self.ask(&Request::Rset, Phase::Reset, limit).await?;
        if !reply.is_positive() {
            return Err(Failure::refused(Phase::Reset, reply));
        }
        self.begun = false;
        self.settle();
        Ok(())
    }

    /// Says goodbye and closes. A connection that is not usable is closed
    /// without a word: the peer might take the word for content.
    pub async fn quit(mut self) {
        if self.take_up(Phase::Reset).is_ok() {
            let _ = self.ask(&Request::Quit, Phase::Reset, QUIT_TIMEOUT).await;
        }
        self.wire.close(QUIT_TIMEOUT).await;
    }

    /// Takes the connection into use: it is unusable until [`Self::settle`].
    pub(crate) fn take_up(&mut self, phase: Phase) -> Result<(), Failure> {
        if !self.usable {
            let text = "the connection to the server is not usable any more";
            return Err(Failure::new(phase, (4, 4, 2), text));
        }
        self.usable = false;
        self.in_step(phase)
    }

    /// Both sides agree again on what comes next.
    pub(crate) fn settle(&mut self) {
        self.usable = true;
    }

    /// Fails where the peer has said more than it was asked: the next reply
    /// would be taken for the answer to another command.
    pub(crate) fn in_step(&mut self, phase: Phase) -> Result<(), Failure> {
        if self.wire.is_silent() {
            return Ok(());
        }
        // RFC 5321 §3.8: a server that must close says 421 at any time.
        match self.wire.next_reply() {
            Ok(Some(reply)) => Err(Failure::refused(phase, reply).temporary()),
            Ok(None) | Err(_) => {
                let text = format!("the server said something unasked, before {phase}");
                Err(Failure::new(phase, (4, 5, 0), text))
            }
        }
    }

    /// Sends one command and reads its reply.
    pub(crate) async fn ask(
        &mut self,
        request: &Request<'_>,
        phase: Phase,
        limit: Duration,
    ) -> Result<Reply, Failure> {
        self.in_step(phase)?;
        let mut line = Vec::new();
        request
            .write_to(&mut line)
            .map_err(|error| Failure::new(phase, (5, 5, 4), format!("{error}, at {phase}")))?;
        self.write(&line, phase).await?;
        self.read_reply(phase, limit).await
    }

    /// Writes commands.
    pub(crate) async fn write(&mut self, bytes: &[u8], phase: Phase) -> Result<(), Failure> {
        let written = self.wire.write(bytes, self.settings.command_timeout).await;
        written.map_err(|error| self.lost(phase, &error))
    }

    pub(crate) async fn read_reply(
        &mut self,
        phase: Phase,
        limit: Duration,
    ) -> Result<Reply, Failure> {
        let reply = self.wire.read_reply(limit).await;
        reply.map_err(|error| Failure::lost(phase, &error))
    }

    /// The connection has broken while it was written to. What the peer said
    /// before tells more than that it has gone.
    pub(crate) fn lost(&mut self, phase: Phase, error: &WireError) -> Failure {
        match self.wire.next_reply() {
            Ok(Some(reply)) if !reply.is_positive() => Failure::refused(phase, reply),
            _ => Failure::lost(phase, error),
        }
    }
}
