//! The word to the administrator that an account sends more than it may.

use std::net::IpAddr;

use bytes::Bytes;
use postrider_auth::Login;
use postrider_message::date;
use postrider_meta::command::{Accept, Delivery};
use postrider_meta::query::{Resolution, Resolve};
use postrider_meta::{NewQueued, Origin, QueueEnvelope, ReadAt};
use postrider_types::{Address, Flags, Millis};

use crate::server::Shared;

impl Shared {
    /// Tells the administrator, once a day for each account, by mail and in the log.
    pub(super) async fn warn_of_volume(&self, login: &Login, peer: IpAddr, limit: &str) {
        if !self.volume.is_news(login.account) {
            return;
        }
        tracing::warn!(
            account = %login.address, limit,
            "an account sends more than it may: was its password stolen?"
        );
        if let Err(reason) = self.mail_warning(login, peer, limit).await {
            tracing::warn!(reason, "the administrator gets no mail about it");
        }
    }

    async fn mail_warning(&self, login: &Login, peer: IpAddr, limit: &str) -> Result<(), String> {
        let (handles, settings) = (&self.handles, &self.settings);
        let own = || Address::new("postmaster", login.address.domain().clone()).ok();
        let address = settings.postmaster.clone().or_else(own);
        let address = address.ok_or("there is no postmaster: set smtp.postmaster")?;
        let now = handles.meta.clock().now();
        let resolve = Resolve {
            address: address.clone(),
            size: 0,
            local_sender: true,
            notice: true,
            overdraft: true,
            now,
        };
        let found = handles.meta.ask(resolve, ReadAt::Latest).await;
        let (found, _) = found.map_err(|error| error.to_string())?;
        let (accounts, elsewhere) = match found {
            Resolution::Local {
                accounts, outside, ..
            } => (accounts, outside.into_iter().map(|it| it.address).collect()),
            Resolution::Relayed(_) => (Vec::new(), vec![address.clone()]),
            _ => return Err(format!("{address} is no mailbox here: set smtp.postmaster")),
        };
        let hostname = &settings.hostname;
        let mut intake = handles.bodies.intake();
        let text = format!(
            "From: Mail server <MAILER-DAEMON@{hostname}>\r\nTo: <{address}>\r\n\
             Subject: {account} sends more than it may\r\nDate: {date}\r\n\
             Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\n\
             The account {account} has reached its limit: {limit}.\r\n\
             The last client was {peer}.\r\n\r\n\
             What it sends beyond that is put off with 450 4.7.1. If its password was\r\n\
             stolen, give it another one:\r\n\r\n    \
             postrider account set {account} --password\r\n\r\n\
             and look at what waits:\r\n\r\n    \
             postrider queue list --sender {account}\r\n\r\n\
             The limits are smtp.max_sent_messages_per_hour and\r\n\
             smtp.max_sent_recipients_per_hour. You are told of an account once a day.\r\n",
            account = login.address,
            date = date::format(now, 0),
        );
        let wrote = intake.write(text.as_bytes()).await;
        wrote.map_err(|error| error.to_string())?;
        let body = intake.finish().await.map_err(|error| error.to_string())?;
        let delivery = |recipient: postrider_meta::query::Recipient| Delivery {
            account: recipient.account,
            mailbox: "INBOX".into(),
            prefix: Bytes::from(format!(
                "Return-Path: <>\r\nDelivered-To: {}\r\n",
                recipient.address
            )),
            flags: Flags::new(),
            overdraft: true,
        };
        let accept = Accept {
            body,
            deliveries: accounts.into_iter().map(delivery).collect(),
            received: now,
            queued: self.queued_warning(&elsewhere, now),
            origin: Some(Origin {
                node: handles.node,
                peer: hostname.clone(),
                login: None,
                protocol: "warning".into(),
                reverse_path: String::new(),
            }),
            notices: Vec::new(),
        };
        let (verdict, _) = handles.meta.run(accept).await.map_err(|e| e.to_string())?;
        verdict.map_err(|refusal| refusal.to_string())?;
        if let Some(outbound) = handles.outbound.as_ref().filter(|_| !elsewhere.is_empty()) {
            (outbound.wake)();
        }
        Ok(())
    }

    /// The warning to a postmaster who is not here.
    fn queued_warning(&self, elsewhere: &[Address], now: Millis) -> Option<NewQueued> {
        let outbound = self.handles.outbound.as_ref()?;
        let addresses = elsewhere.iter().map(ToString::to_string).collect();
        let destinations = postrider_notice::destinations(addresses);
        (!destinations.is_empty()).then(|| NewQueued {
            envelope: QueueEnvelope {
                reverse_path: String::new(),
                ret: None,
                envelope_id: None,
                smtp_utf8: !elsewhere
                    .iter()
                    .all(|address| address.to_string().is_ascii()),
                require_tls: false,
                tls_optional: false,
                sign: None,
                submitter: None,
            },
            prefix: Bytes::new(),
            destinations,
            due: now,
            warn: None,
            expires: now.after(outbound.lifetime),
        })
    }
}
