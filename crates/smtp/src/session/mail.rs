//! MAIL (RFC 5321 §4.1.1.2, RFC 6409 §6): who sends, and may they.

use postrider_meta::{ReadAt, query};
use postrider_proto::smtp::{Body, Mail, Reply};

use super::{End, Session, Transaction, deliver};
use crate::envelope::Envelope;

impl Session<'_> {
    pub(super) async fn mail(&mut self, mail: Mail) -> Result<(), End> {
        match self.check_sender(&mail).await {
            None => {
                self.transaction = Some(Box::new(Transaction {
                    envelope: Envelope::new(mail),
                    incoming: None,
                }));
                self.answer(&Reply::new(250, (2, 1, 0), "sender accepted"))
            }
            Some(refusal) => {
                let sender = mail.reverse_path.map(|m| m.to_string()).unwrap_or_default();
                self.log_refusal("sender", &sender, &refusal);
                self.answer(&refusal)
            }
        }
    }

    /// Why this sender may not send now; None if it may.
    async fn check_sender(&mut self, mail: &Mail) -> Option<Reply> {
        let server = self.server;
        let settings = &server.settings;
        let refuse = |code, enhanced, text: &'static str| Some(Reply::new(code, enhanced, text));
        if self.greeting.is_none() && settings.require_helo {
            return refuse(503, (5, 5, 1), "introduce yourself first");
        }
        if self.transaction.is_some() {
            return refuse(
                503,
                (5, 5, 1),
                "a transaction is open: finish it or send RSET",
            );
        }
        if self.role().is_submission() && !self.is_local() {
            // RFC 4954 §6, RFC 3207 §4
            return refuse(
                530,
                (5, 7, 0),
                if self.offers_login() {
                    "log in first"
                } else {
                    "start TLS, then log in"
                },
            );
        }
        if mail.parameters.require_tls && !self.connection.is_tls() {
            // RFC 8689 §2: only within TLS, outside of which it is not offered. It knows no
            // reply of its own for this: RFC 3207 §4 has 530. X.7.10 is about logins,
            // X.7.30 about the next server.
            return refuse(
                530,
                (5, 7, 0),
                "REQUIRETLS is for TLS alone: start TLS first",
            );
        }
        if mail.parameters.body == Some(Body::BinaryMime) {
            return refuse(555, (5, 5, 4), "BODY=BINARYMIME is not supported");
        }
        // RFC 1870 §6.1
        if mail
            .parameters
            .size
            .is_some_and(|size| size > settings.max_message_size)
        {
            return Some(deliver::too_large());
        }
        if let Some(refusal) = self.check_ownership(mail).await {
            return Some(refusal);
        }
        if self.is_limited() && !self.server.admit_message(self.peer) {
            return refuse(
                450,
                (4, 7, 0),
                "too many messages from your address, try again later",
            );
        }
        if let Some(login) = self.login.clone()
            && !server.volume.admit_message(login.account)
        {
            let limit = format!("{} messages an hour", settings.max_sent_messages_per_hour);
            server.warn_of_volume(&login, self.peer, &limit).await;
            return refuse(
                450,
                (4, 7, 1),
                "you have sent too many messages in the last hour, try again later",
            );
        }
        None
    }

    /// RFC 6409 §6.1: a user sends with addresses of the account alone. `<>`
    /// is allowed, for notifications that mail programs send (RFC 8098 §3.1.2).
    async fn check_ownership(&mut self, mail: &Mail) -> Option<Reply> {
        let (Some(login), Some(sender)) = (&self.login, &mail.reverse_path) else {
            return None;
        };
        let refusal = || {
            let text = format!("{} may not send as {sender}", login.address);
            Some(Reply::new(553, (5, 7, 1), text))
        };
        let Some(sender) = sender.address() else {
            return refusal();
        };
        let question = query::MaySendAs {
            account: login.account,
            sender,
            now: self.server.handles.meta.clock().now(),
        };
        match self.server.handles.meta.ask(question, ReadAt::Latest).await {
            Ok((true, _)) => None,
            Ok((false, _)) => refusal(),
            Err(error) => Some(deliver::unavailable(&error)),
        }
    }
}
