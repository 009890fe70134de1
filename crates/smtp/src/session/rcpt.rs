//! RCPT (RFC 5321 §4.1.1.3): who receives, and may they be reached from here.
//!
//! Recipients that are pipelined are looked up at the same time.

use std::fmt::Display;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{self, StreamExt as _};
use postrider_meta::query::{Recipient, Resolution, Resolve};
use postrider_meta::{Client, Error, ReadAt, query};
use postrider_proto::smtp::{
    Command, ForwardPath, Host, MAX_COMMAND_LINE, Mailbox, Rcpt, RcptParameters, Reply,
    looks_rewritten,
};
use postrider_types::Address;

use super::{End, Session, deliver, lists, success};
use crate::envelope::{Found, Outside};
use crate::lookups::Lookups;
use crate::{Outbound, Settings, SuccessNotices};

/// The most pipelined recipients that are taken together.
const MAX_BATCH: usize = 64;
/// Lookups at once. Each may bring a group of 10,000 into memory.
const LOOKUPS: usize = 8;

/// One RCPT of a batch, as far as it can be judged alone.
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) parameters: RcptParameters,
    forward_path: ForwardPath,
}

impl<'s> Session<'s> {
    pub(super) async fn rcpt(&mut self, first: Rcpt) -> Result<(), End> {
        let mut batch = vec![self.prepare(first)];
        while batch.len() < MAX_BATCH && self.next_is(b"RCPT ") {
            let Ok(Some(line)) = self.input.next_line(MAX_COMMAND_LINE) else {
                break;
            };
            self.count_command()?;
            let parsed = match line.strip_suffix(b"\r\n") {
                Some(line) => Command::parse(line).map_err(|error| error.reply()),
                None => Err(Reply::new(500, (5, 5, 2), "a command line ends with CRLF")),
            };
            batch.push(match parsed {
                Ok(Command::Rcpt(rcpt)) => self.prepare(rcpt),
                Ok(_) => Err(Reply::new(500, (5, 5, 1), "command not recognized")),
                Err(reply) => Err(reply),
            });
        }
        let lookup = self.lookup();
        let (lookup, full) = (&lookup, &AtomicBool::new(self.is_full()));
        let asked = stream::iter(batch).map(async |asked: Result<Asked, Reply>| {
            let asked = asked.map_err(|reply| (String::new(), reply))?;
            if full.load(Ordering::Relaxed) {
                return Err((asked.path, too_many()));
            }
            match lookup.find_in_turn(&asked.forward_path).await {
                Ok(found) => Ok((asked, found)),
                Err(reply) => Err((asked.path, reply)),
            }
        });
        let mut answers = pin!(asked.buffered(LOOKUPS));
        while let Some(answer) = answers.next().await {
            let (path, reply) = match answer {
                Ok((asked, found)) => (asked.path.clone(), self.count_and_add(asked, found).await),
                Err(refused) => refused,
            };
            full.store(self.is_full(), Ordering::Relaxed);
            if !reply.is_positive() {
                if let Some(transaction) = &mut self.transaction {
                    transaction.envelope.refused = true;
                }
                // A hundred thousand recipients shall not make as many log lines.
                if reply != too_many() {
                    self.log_refusal("recipient", &path, &reply);
                }
            }
            self.answer(&reply)?;
        }
        Ok(())
    }

    /// What can be said of a recipient without asking anybody.
    fn prepare(&self, rcpt: Rcpt) -> Result<Asked, Reply> {
        let Some(transaction) = &self.transaction else {
            return Err(Reply::new(503, (5, 5, 1), "MAIL comes first"));
        };
        if transaction.incoming.is_some() {
            return Err(Reply::new(503, (5, 5, 1), "not within the message"));
        }
        let utf8 = transaction.envelope.mail.parameters.smtp_utf8;
        if let ForwardPath::Mailbox(mailbox) = &rcpt.forward_path
            && !utf8
            && !mailbox.is_ascii()
        {
            // RFC 6531 §3.5
            let text = "the address is not ASCII: give MAIL the SMTPUTF8 parameter";
            return Err(Reply::new(553, (5, 6, 7), text));
        }
        let mut parameters = rcpt.parameters;
        if !self.hears_of_success() {
            success::forget(&mut parameters);
        }
        Ok(Asked {
            path: rcpt.forward_path.to_string(),
            parameters,
            forward_path: rcpt.forward_path,
        })
    }

    /// Whether the client may have notices of success sent to whom it names as sender.
    fn hears_of_success(&self) -> bool {
        match self.server.settings.success_notices {
            SuccessNotices::Everyone => true,
            SuccessNotices::Users => self.is_local(),
        }
    }

    /// Whether the transaction takes no recipient more.
    fn is_full(&self) -> bool {
        let max = self.server.settings.max_recipients;
        let transaction = self.transaction.as_ref();
        transaction.is_some_and(|transaction| transaction.envelope.is_full(max))
    }

    fn lookup(&self) -> Lookup<'s> {
        let size = self
            .transaction
            .as_ref()
            .and_then(|t| t.envelope.mail.parameters.size);
        let server = self.server;
        Lookup {
            meta: &server.handles.meta,
            settings: &server.settings,
            size: size.unwrap_or(0),
            local_sender: self.is_local(),
            notice: self
                .transaction
                .as_ref()
                .is_some_and(|transaction| transaction.envelope.mail.reverse_path.is_none()),
            outbound: server.handles.outbound.as_ref(),
            here: self.connection.local().ip(),
            turns: self.is_limited().then_some((&server.lookups, self.peer)),
        }
    }
}

/// RFC 5321 §4.5.3.1.10: the rest may come in another transaction.
pub(super) fn too_many() -> Reply {
    Reply::new(
        452,
        (4, 5, 3),
        "too many recipients, send to the rest later",
    )
}

/// Looks up the recipients of one transaction.
pub(super) struct Lookup<'a> {
    pub(super) meta: &'a Client,
    pub(super) settings: &'a Settings,
    size: u64,
    pub(super) local_sender: bool,
    /// The sender is null: this is a notice.
    notice: bool,
    /// Mail to other servers can be sent.
    pub(super) outbound: Option<&'a Outbound>,
    /// Our address on this connection.
    here: IpAddr,
    /// Where the client waits for its turn; None where it need not.
    turns: Option<(&'a Lookups, IpAddr)>,
}

impl Lookup<'_> {
    /// Who receives mail to `path`, once it is the client's turn.
    async fn find_in_turn(&self, path: &ForwardPath) -> Result<Found, Reply> {
        let Some((lookups, client)) = self.turns else {
            return self.find(path).await;
        };
        let Some(_turn) = lookups.turn(client).await else {
            let text = "too many recipients are looked up for your address, try again later";
            return Err(Reply::new(450, (4, 7, 0), text));
        };
        self.find(path).await
    }

    /// Who receives mail to `path`.
    async fn find(&self, path: &ForwardPath) -> Result<Found, Reply> {
        match path {
            ForwardPath::Postmaster => self.postmaster().await,
            ForwardPath::Mailbox(mailbox) if looks_rewritten(mailbox.local()) => {
                self.back(mailbox).await
            }
            ForwardPath::Mailbox(mailbox) if is_postmaster(mailbox) => match mailbox.host() {
                Host::Literal(ip) if *ip == self.here => self.postmaster().await,
                Host::Literal(_) => self.foreign(mailbox),
                Host::Domain(domain) => self.postmaster_of(domain, mailbox).await,
            },
            ForwardPath::Mailbox(mailbox) => self.any(mailbox).await,
        }
    }

    pub(super) async fn resolve(&self, address: Address) -> Result<Resolution, Reply> {
        let question = Resolve {
            address,
            size: self.size,
            local_sender: self.local_sender,
            notice: self.notice,
            overdraft: false,
            now: self.meta.clock().now(),
        };
        let answer: Result<_, Error> = self.meta.ask(question, ReadAt::Latest).await;
        answer
            .map(|(found, _)| found)
            .map_err(|error| deliver::unavailable(&error))
    }

    /// The accounts of a resolution, or the reply that refuses `asked`.
    pub(super) fn refer(
        &self,
        found: Resolution,
        asked: &(dyn Display + Sync),
    ) -> Result<Found, Reply> {
        Err(match found {
            Resolution::Local { lists, .. } if self.notice && !lists.is_empty() => {
                lists::takes_no_notices(asked)
            }
            Resolution::Local {
                accounts,
                outside,
                lists,
            } => return self.local(accounts, outside, lists),
            // Where the settings name a postmaster, the caller has asked for it, and for
            // what goes on the server behind.
            Resolution::Postmaster
            | Resolution::Relayed(_)
            | Resolution::Foreign
            | Resolution::Unknown => unknown(asked),
            Resolution::Closed => Reply::new(550, (5, 2, 1), format!("<{asked}> is closed")),
            Resolution::OverQuota { exceeds: false } => {
                Reply::new(452, (4, 2, 2), format!("the mailbox of <{asked}> is full"))
            }
            Resolution::OverQuota { exceeds: true } => {
                let text = format!("the message is larger than the mailbox of <{asked}>");
                Reply::new(552, (5, 2, 2), text)
            }
            Resolution::Internal => {
                let text = format!("<{asked}> takes mail from inside only");
                Reply::new(550, (5, 7, 1), text)
            }
            Resolution::Undeliverable(why) => {
                let text = format!("<{asked}> cannot be delivered to: {why}");
                Reply::new(550, (5, 4, 0), text)
            }
        })
    }

    /// Accounts here, and addresses elsewhere that aliases and groups lead to.
    fn local(
        &self,
        accounts: Vec<Recipient>,
        outside: Vec<query::Outside>,
        lists: Vec<query::List>,
    ) -> Result<Found, Reply> {
        if !outside.is_empty() && self.outbound.is_none() {
            let text = "the address leads to other servers, to which this one does not send";
            return Err(Reply::new(554, (5, 3, 3), text));
        }
        let outside = outside.into_iter().map(|outside| Outside {
            destination: outside.address.domain().to_string(),
            address: outside.address.to_string(),
            // What goes on to a server behind this one is not forwarded: its sender
            // stays, and nothing is sealed.
            via: (!outside.relayed).then(|| outside.via.domain().clone()),
            forwarder: Some(outside.via),
            member: outside.member,
        });
        Ok(Found {
            accounts,
            outside: outside.collect(),
            lists,
        })
    }

    /// An address that we have made of another when we forwarded. What is sent to it
    /// goes to that one, but notices alone: else it were a relay to that address.
    async fn back(&self, asked: &Mailbox) -> Result<Found, Reply> {
        let now = self.meta.clock().now();
        let original = self.outbound.filter(|_| self.notice);
        let original = original.and_then(|it| it.srs.backward(asked.local(), now));
        let Some((address, domain)) = original else {
            return self.any(asked).await;
        };
        let local = match Address::parse(&address) {
            Ok(parsed) => self.resolve(parsed).await?,
            Err(_) => Resolution::Foreign,
        };
        match local {
            Resolution::Foreign => {}
            Resolution::Relayed(relay) => return self.pass_on(&relay, &domain, address).await,
            found => return self.refer(found, asked),
        }
        Ok(elsewhere(address, domain.to_string()))
    }

    /// Any other address, here or elsewhere.
    async fn any(&self, asked: &Mailbox) -> Result<Found, Reply> {
        match (asked.address(), asked.host()) {
            (Some(address), _) => match self.resolve(address.clone()).await? {
                Resolution::Foreign => self.foreign(asked),
                Resolution::Relayed(relay) => {
                    let domain = address.domain();
                    self.pass_on(&relay, domain, asked.to_string()).await
                }
                Resolution::Postmaster => match asked.host() {
                    Host::Domain(domain) => self.postmaster_of(domain, asked).await,
                    Host::Literal(_) => Err(unknown(asked)),
                },
                found => self.refer(found, asked),
            },
            (None, Host::Literal(_)) => self.foreign(asked),
            (None, Host::Domain(domain)) => self.odd(domain, asked).await,
        }
    }

    /// An address on another server.
    pub(super) fn foreign(&self, asked: &Mailbox) -> Result<Found, Reply> {
        if !self.local_sender {
            return Err(Reply::new(554, (5, 7, 1), "relay not permitted"));
        }
        if self.outbound.is_none() {
            let text = "this server does not send to other servers";
            return Err(Reply::new(554, (5, 3, 3), text));
        }
        let destination = match asked.host() {
            Host::Domain(domain) => domain.to_string(),
            literal @ Host::Literal(_) => literal.to_string().to_ascii_lowercase(),
        };
        Ok(elsewhere(asked.to_string(), destination))
    }
}

/// An address that leads outside by itself.
pub(super) fn elsewhere(address: String, destination: String) -> Found {
    let outside = Outside {
        address,
        destination,
        via: None,
        forwarder: None,
        member: None,
    };
    Found {
        outside: vec![outside],
        ..Found::default()
    }
}

fn is_postmaster(mailbox: &Mailbox) -> bool {
    mailbox.local().eq_ignore_ascii_case("postmaster")
}

pub(super) fn unknown(asked: &dyn Display) -> Reply {
    Reply::new(550, (5, 1, 1), format!("<{asked}> is not known here"))
}
