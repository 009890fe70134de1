//! The greeting, EHLO and HELO (RFC 5321 §3.1, §3.2).

use postrider_proto::smtp::client::{Capabilities, Request};

use crate::connection::Connection;
use crate::failure::{Failure, Phase};

impl Connection {
    pub(crate) async fn greeting(&mut self) -> Result<(), Failure> {
        let limit = self.settings.greeting_timeout;
        let reply = self.read_reply(Phase::Greeting, limit).await?;
        match reply.code {
            220 => Ok(()),
            _ => Err(Failure::refused(Phase::Greeting, reply)),
        }
    }

    /// Greets, and learns what the server offers.
    pub(crate) async fn hello(&mut self, name: &str) -> Result<(), Failure> {
        let limit = self.settings.command_timeout;
        let reply = self.ask(&Request::Ehlo(name), Phase::Hello, limit).await?;
        if reply.is_positive() {
            self.capabilities = Capabilities::parse(&reply);
            return Ok(());
        }
        if !reply.is_permanent() {
            return Err(Failure::refused(Phase::Hello, reply));
        }
        // RFC 5321 §3.2: a server that knows no EHLO is greeted with HELO.
        self.capabilities = Capabilities::default();
        let reply = self.ask(&Request::Helo(name), Phase::Hello, limit).await?;
        match reply.is_positive() {
            true => Ok(()),
            false => Err(Failure::refused(Phase::Hello, reply)),
        }
    }
}
