//! Recipients in domains whose mail goes on to a server behind this one, as far as
//! they have no address here: that server is asked about each of them.

use postrider_meta::query::{self, Resolution};
use postrider_meta::{ReadAt, Relay};
use postrider_proto::smtp::{Mailbox, Reply, client};
use postrider_types::{Address, DomainName};

use super::deliver;
use super::rcpt::{Lookup, elsewhere, unknown};
use crate::envelope::Found;

impl Lookup<'_> {
    /// What `relay` says of `asked`, which is in `domain`.
    pub(super) async fn pass_on(
        &self,
        relay: &Relay,
        domain: &DomainName,
        asked: String,
    ) -> Result<Found, Reply> {
        let Some(outbound) = self.outbound else {
            let text = "the address is on another server, to which this one does not send";
            return Err(Reply::new(554, (5, 3, 3), text));
        };
        // Whoever has logged in hears from us what becomes of the message; a stranger
        // shall try again.
        let unsure = self.local_sender || outbound.accept_unchecked;
        match outbound.gateway.check(relay, &asked).await {
            Ok(reply) if reply.is_positive() => {}
            Ok(reply) if reply.is_permanent() => {
                return Err(said(550, (5, 1, 1), &reply, &asked));
            }
            Ok(_) if self.local_sender => {}
            Ok(reply) => return Err(said(450, (4, 2, 0), &reply, &asked)),
            // The gateway has logged why.
            Err(_) if unsure => {}
            Err(_) => {
                let text = format!(
                    "the server that knows the recipients of {domain} cannot be asked, try again later"
                );
                return Err(Reply::new(450, (4, 4, 1), text));
            }
        }
        // It is that server's own mail: no sender is rewritten for it.
        Ok(elsewhere(asked, domain.to_string()))
    }

    /// RFC 5321 §4.5.1: postmaster exists in each domain. The server behind may have
    /// it; else it is the account that the settings name.
    pub(super) async fn pass_on_postmaster(
        &self,
        relay: &Relay,
        domain: &DomainName,
        asked: &Mailbox,
    ) -> Result<Found, Reply> {
        let refused = match self.pass_on(relay, domain, asked.to_string()).await {
            Err(reply) if reply.code() == 550 => reply,
            found => return found,
        };
        match &self.settings.postmaster {
            Some(configured) => self.configured(configured, asked).await,
            None => Err(refused),
        }
    }

    /// A local part that no address here has.
    pub(super) async fn odd(&self, domain: &DomainName, asked: &Mailbox) -> Result<Found, Reply> {
        let probe = Address::new("postmaster", domain.clone());
        let probe = probe.map_err(|_| unknown(asked))?;
        match self.resolve(probe).await? {
            Resolution::Foreign => return self.foreign(asked),
            internal @ Resolution::Internal => return self.refer(internal, asked),
            _ => {}
        }
        let name = domain.clone();
        let answer = self.meta.ask(query::Domain { name }, ReadAt::Latest).await;
        let (row, _) = answer.map_err(|error| deliver::unavailable(&error))?;
        match row.and_then(|row| row.relay) {
            Some(relay) => self.pass_on(&relay, domain, asked.to_string()).await,
            None => Err(unknown(asked)),
        }
    }
}

/// The words of the server behind, in a reply with `code`; its enhanced status where
/// it fits, else `usual`.
fn said(code: u16, usual: (u8, u16, u16), reply: &client::Reply, asked: &str) -> Reply {
    let own = reply.enhanced.filter(|status| status.0 == usual.0);
    let status = own.map_or(usual, |status| (status.0, status.1, status.2));
    // RFC 6531 §3.7.4.2: replies are ASCII unless the client asks for more.
    let plain = |c: char| match c.is_ascii() && !c.is_ascii_control() {
        true => c,
        false if c.is_whitespace() => ' ',
        false => '?',
    };
    let words: String = reply.text.chars().map(plain).collect();
    Reply::new(code, status, format!("<{asked}>: {words}"))
}

#[cfg(test)]
mod tests {
    use postrider_types::EnhancedStatus;

    use super::*;

    #[test]
    fn the_words_of_the_server_behind_are_passed_on_in_ascii() {
        let reply = |enhanced, text: &str| client::Reply {
            code: 554,
            enhanced,
            text: text.into(),
        };
        let own = reply(Some(EnhancedStatus(5, 2, 1)), "schl\u{e4}ft\nlange");
        let told = said(550, (5, 1, 1), &own, "a@x.test");
        assert_eq!((told.code(), told.enhanced()), (550, own.enhanced));
        assert_eq!(told.text(), "<a@x.test>: schl?ft lange");
        let none = reply(Some(EnhancedStatus(4, 2, 1)), "");
        let told = said(550, (5, 1, 1), &none, "a@x.test");
        assert_eq!(told.enhanced(), Some(EnhancedStatus(5, 1, 1)));
    }
}
