//! The end of a transaction: one [`Accept`] for all recipients, and the replies.
//! 250 is gathered only after it returned.

use bytes::Bytes;
use metrics::counter;
use postrider_meta::command::{Accept, Delivery};
use postrider_meta::{Error, NewBody, Origin, Refusal};
use postrider_proto::smtp::Reply;
use postrider_types::{BodyId, Flags, Millis};

use super::lists::Lists;
use super::success::{self, Arrived};
use super::{End, Incoming, Session, forward, queue};
use crate::Role;
use crate::envelope::{Envelope, Recipient};
use crate::header::Header;
use crate::trace::{self, Trace};

/// The reply to a target, or to an address outside.
pub(super) type Verdict = Result<(), Reply>;

/// Those of a message, by place.
pub(super) struct Verdicts {
    pub(super) targets: Vec<Verdict>,
    queued: Vec<Verdict>,
}

impl Verdicts {
    fn all(&self) -> impl Iterator<Item = &Verdict> {
        self.targets.iter().chain(&self.queued)
    }

    /// Those of one recipient. A list that refuses the message speaks for its members,
    /// whom it may reach in another way.
    pub(super) fn of<'v>(
        &'v self,
        recipient: &'v Recipient,
        lists: &'v Lists<'_>,
    ) -> impl Iterator<Item = &'v Verdict> {
        let refusal = lists.verdict(recipient.kind);
        let targets = recipient.targets.iter();
        let targets = targets.filter_map(|&place| self.targets.get(place as usize));
        let queued = recipient.queued.iter();
        let queued = queued.filter_map(|&place| self.queued.get(place as usize));
        let found = targets.chain(queued).filter(move |_| refusal.is_none());
        refusal.into_iter().chain(found)
    }

    /// How many accounts have the message, and to how many addresses outside it goes.
    fn good(&self) -> (usize, usize) {
        let good = |verdicts: &[Verdict]| verdicts.iter().filter(|v| v.is_ok()).count();
        (good(&self.targets), good(&self.queued))
    }
}

impl Session<'_> {
    /// All content has come: delivers it and answers. Ends the transaction.
    pub(super) async fn complete(&mut self, incoming: Incoming) -> Result<(), End> {
        let Some(transaction) = self.transaction.take() else {
            return self.refuse(503, (5, 5, 1), "MAIL comes first");
        };
        let envelope = transaction.envelope;
        let replies = match incoming.finish().await {
            Ok((body, header)) => self.deliver(&envelope, body, &header).await,
            Err(refusal) => {
                self.log_refusal("message", &sender(&envelope), &refusal);
                self.same_for_all(&envelope, &refusal)
            }
        };
        for reply in replies {
            self.answer(&reply)?;
        }
        Ok(())
    }

    /// RFC 2033 §4.2: LMTP answers for each recipient, SMTP once.
    fn same_for_all(&self, envelope: &Envelope, reply: &Reply) -> Vec<Reply> {
        let count = if self.role() == Role::Lmtp {
            envelope.recipients.len()
        } else {
            1
        };
        vec![reply.clone(); count]
    }

    async fn deliver(&mut self, envelope: &Envelope, body: NewBody, header: &Header) -> Vec<Reply> {
        // RFC 5321 §6.3
        if header.hops() > self.server.settings.max_hops {
            let reply = Reply::new(
                554,
                (5, 4, 6),
                "the message has gone through too many servers",
            );
            self.log_refusal("message", &sender(envelope), &reply);
            return self.same_for_all(envelope, &reply);
        }
        let (id, size) = (body.id, body.size);
        let links = self.server.handles.unsubscribe.as_ref();
        let lists = Lists::new(&envelope.lists, header, links, self.is_local());
        for (list, reply) in lists.refused() {
            self.log_refusal("list", &list.to_string(), reply);
        }
        if self.role() != Role::Lmtp
            && let Some(reply) = forward::refusal(envelope, &lists, header)
        {
            self.log_refusal("message", &sender(envelope), &reply);
            return vec![reply];
        }
        let verdicts = match self.accept(envelope, body, header, &lists).await {
            Ok(verdicts) => verdicts,
            Err(refusal) => {
                self.log_refusal("message", &sender(envelope), &refusal);
                return self.same_for_all(envelope, &refusal);
            }
        };
        self.tell(envelope, id, size, &verdicts, &lists);
        if self.role() == Role::Lmtp {
            let recipients = envelope.recipients.iter();
            return recipients
                .map(|r| verdict(verdicts.of(r, &lists), id))
                .collect();
        }
        vec![verdict(verdicts.all(), id)]
    }

    /// Runs the command: what became of each target, or why nothing could be done.
    async fn accept(
        &mut self,
        envelope: &Envelope,
        body: NewBody,
        header: &Header,
        lists: &Lists<'_>,
    ) -> Result<Verdicts, Reply> {
        let now = self.server.handles.meta.clock().now();
        let received = self.trace(envelope, body.id, now).received();
        let (targets, deliveries) = self.deliveries(envelope, lists, &received);
        let queued = queue::queued(self, envelope, lists, &received, header, now);
        let mut verdicts = Verdicts {
            targets,
            queued: queued_verdicts(envelope, lists, header),
        };
        if deliveries.is_empty() && queued.is_none() {
            return Ok(verdicts);
        }
        let arrived = Arrived {
            envelope,
            body: body.id,
            own: self.is_local(),
            header,
            lists,
            received: &received,
            now,
        };
        let success = success::notice(self.server, &arrived, &verdicts).await?;
        let notified = success.as_ref().map(|success| &success.accept);
        let goes_out = queued.is_some() || notified.is_some_and(|it| it.queued.is_some());
        let accept = Accept {
            body,
            deliveries,
            received: now,
            queued,
            origin: Some(self.origin(envelope)),
            notices: success.into_iter().collect(),
        };
        let verdict = self.server.handles.meta.run(accept).await;
        let (verdict, _) = verdict.map_err(|error| unavailable(&error))?;
        let accepted = verdict.map_err(|refusal| refused(&refusal))?;
        if let Some(outbound) = self.server.handles.outbound.as_ref().filter(|_| goes_out) {
            (outbound.wake)();
        }
        let left_out = accepted.notices.contains(&None);
        let mut results = accepted.deliveries.into_iter();
        for verdict in verdicts.targets.iter_mut().filter(|v| v.is_ok()) {
            *verdict = match results.next() {
                Some(Ok(_)) => Ok(()),
                Some(Err(refusal)) => Err(refused(&refusal)),
                None => Err(unavailable(&Error::Failed(
                    "a delivery has no result".into(),
                ))),
            };
        }
        if left_out {
            success::tell_anew(self.server, &arrived, &verdicts).await;
        }
        Ok(verdicts)
    }

    /// The deliveries to all targets whose list takes the message; the others are
    /// refused. A mailbox takes also what names it as `Delivered-To`: nothing goes on from
    /// it, so that this is no loop, but a message that its owner had before. Circles are
    /// cut where mail is forwarded (`forward.rs`).
    fn deliveries(
        &self,
        envelope: &Envelope,
        lists: &Lists<'_>,
        received: &str,
    ) -> (Vec<Verdict>, Vec<Delivery>) {
        let overdraft = untold(envelope, self.role());
        let reverse_path = sender(envelope);
        let mut verdicts = Vec::with_capacity(envelope.targets.len());
        let mut deliveries = Vec::with_capacity(envelope.targets.len());
        for (target, overdraft) in envelope.targets.iter().zip(overdraft) {
            let target = match lists.target(target) {
                Ok(target) => target,
                Err(reply) => {
                    verdicts.push(Err(reply.clone()));
                    continue;
                }
            };
            verdicts.push(Ok(()));
            let member = target.member.as_ref();
            let prefix = match lists.list(member) {
                Some(list) => {
                    trace::return_path(&list.bounces(), &target.delivered_to)
                        + &lists.fields(list, lists.leaves(member))
                        + received
                }
                None => trace::return_path(&reverse_path, &target.delivered_to) + received,
            };
            deliveries.push(Delivery {
                account: target.account,
                mailbox: target.mailbox.clone(),
                prefix: Bytes::from(prefix),
                flags: Flags::new(),
                overdraft,
            });
        }
        (verdicts, deliveries)
    }

    /// Where the message comes from, for its history.
    fn origin(&self, envelope: &Envelope) -> Origin {
        let greeting = self.greeting.as_ref();
        let name = greeting.map_or("unknown", |greeting| &greeting.name);
        Origin {
            node: self.server.handles.node,
            peer: format!("{name} [{}]", self.peer),
            login: self.login.as_ref().map(|login| login.account),
            protocol: self.role().as_str().to_owned(),
            reverse_path: sender(envelope),
        }
    }

    fn trace(&self, envelope: &Envelope, id: BodyId, received: Millis) -> Trace<'_> {
        let greeting = self.greeting.as_ref();
        Trace {
            client: greeting.map_or("unknown", |g| &g.name),
            peer: self.peer,
            hostname: &self.server.settings.hostname,
            lmtp: self.role() == Role::Lmtp,
            extended: greeting.is_some_and(|g| g.extended),
            utf8: envelope.mail.parameters.smtp_utf8,
            authenticated: self.login.is_some(),
            tls: self.connection.tls(),
            id,
            only_recipient: match &envelope.recipients[..] {
                [only] => Some(only.path.clone()),
                _ => None,
            },
            received,
        }
    }

    /// Logs and counts what became of a message.
    fn tell(
        &mut self,
        envelope: &Envelope,
        id: BodyId,
        size: u64,
        verdicts: &Verdicts,
        lists: &Lists<'_>,
    ) {
        let role = self.role().as_str();
        let (delivered, queued) = verdicts.good();
        let untold = untold(envelope, self.role());
        let targets = envelope.targets.iter().zip(&verdicts.targets);
        for ((target, verdict), untold) in targets.zip(untold) {
            let Err(reply) = verdict else { continue };
            // What a list refuses was told once for all its members.
            if lists.target(target).is_err() {
                continue;
            }
            let address = &target.delivered_to;
            self.log_refusal("delivery", address, reply);
            // Gone or closed since RCPT, and the one reply is a success.
            if delivered + queued > 0 && untold {
                let reason = reply.text();
                tracing::warn!(%id, address, reason, "an accepted recipient does not get a message");
            }
        }
        if delivered + queued == 0 {
            return;
        }
        self.commands = 0;
        self.errors = 0;
        counter!("postrider_smtp_messages_accepted_total", "role" => role).increment(1);
        counter!("postrider_smtp_deliveries_total", "role" => role).increment(delivered as u64);
        counter!("postrider_smtp_bytes_accepted_total", "role" => role).increment(size);
        tracing::info!(
            role,
            peer = %self.peer,
            %id,
            sender = sender(envelope),
            size,
            recipients = envelope.recipients.len(),
            delivered,
            queued,
            login = self.login.as_ref().map(|l| l.account.0),
            tls = self.connection.is_tls(),
            "accepted a message"
        );
        tracing::debug!(
            %id,
            envelope_id = envelope.mail.parameters.envelope_id.as_deref(),
            ret = ?envelope.mail.parameters.ret,
            notify = ?envelope.recipients.iter().map(|r| r.parameters.notify).collect::<Vec<_>>(),
            "asked for notices"
        );
    }
}

/// Of which targets a refusal could not be told, since others get the message
/// under the same reply. These get it even beyond their quota, which was asked
/// at RCPT.
fn untold(envelope: &Envelope, role: Role) -> Vec<bool> {
    let all = envelope.targets.len() + envelope.queued.len();
    let mut untold = vec![all > 1 && role != Role::Lmtp; envelope.targets.len()];
    let shared = |r: &&Recipient| r.targets.len() + r.queued.len() > 1;
    for recipient in envelope.recipients.iter().filter(shared) {
        for &place in &recipient.targets {
            if let Some(untold) = untold.get_mut(place as usize) {
                *untold = true;
            }
        }
    }
    untold
}

/// The one reply for several targets: good if any of them got the message.
/// What is queued for one of them is on its way: a refusal would have it come again.
fn verdict<'v>(verdicts: impl Iterator<Item = &'v Verdict>, id: BodyId) -> Reply {
    let mut refusal = None;
    for verdict in verdicts {
        match verdict {
            Ok(()) => return accepted_as(id),
            Err(reply) => refusal = refusal.or(Some(reply)),
        }
    }
    refusal.cloned().unwrap_or_else(|| accepted_as(id))
}

/// Which addresses outside a list or a loop keeps the message from.
fn queued_verdicts(envelope: &Envelope, lists: &Lists<'_>, header: &Header) -> Vec<Verdict> {
    let queued = envelope.queued.iter();
    queued
        .map(|queued| forward::open(envelope, lists, header, queued).map(drop))
        .collect()
}

fn accepted_as(id: BodyId) -> Reply {
    Reply::new(250, (2, 0, 0), format!("accepted as {id}"))
}

fn sender(envelope: &Envelope) -> String {
    envelope
        .mail
        .reverse_path
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// RFC 1870 §6.3
pub(super) fn too_large() -> Reply {
    Reply::new(552, (5, 3, 4), "the message is too large")
}

/// The metadata store did not answer.
pub(super) fn unavailable(error: &Error) -> Reply {
    tracing::warn!(%error, "answering a temporary failure");
    if matches!(error, Error::Full(_)) {
        // RFC 5321 §4.2.3, RFC 3463 §3.4
        let text = "no room to store the message now, try again later";
        return Reply::new(452, (4, 3, 1), text);
    }
    Reply::new(
        451,
        (4, 3, 0),
        "the mail store is not available, try again later",
    )
}

/// The domain said no.
pub(super) fn refused(refusal: &Refusal) -> Reply {
    match refusal {
        Refusal::OverQuota => Reply::new(552, (5, 2, 2), "the mailbox is full"),
        Refusal::Closed => Reply::new(550, (5, 2, 1), "the mailbox is closed"),
        Refusal::NotFound(_) => Reply::new(550, (5, 1, 1), "the mailbox is gone"),
        Refusal::InlineBudget => {
            tracing::warn!("the inline budget is used up: is the object store away?");
            Reply::new(
                451,
                (4, 3, 1),
                "no room to store the message now, try again later",
            )
        }
        Refusal::BodyExpired => Reply::new(
            451,
            (4, 3, 0),
            "the message took too long to come, send it again",
        ),
        other => {
            tracing::error!(refusal = %other, "a delivery was refused as malformed");
            Reply::new(
                451,
                (4, 3, 0),
                "the message cannot be stored now, try again later",
            )
        }
    }
}
