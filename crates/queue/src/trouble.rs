//! [`Trouble`]: why mail for a destination could not be handed over, in the form
//! in which it is logged, kept with the entry and told to the sender.

use postrider_relay::{Failure, Kind, Reply};
use postrider_types::EnhancedStatus;

/// Why mail could not be handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// It makes no sense to try again.
    pub(crate) permanent: bool,
    /// There are as many connections as this node may have: it was not tried, or not at
    /// every host.
    pub(crate) busy: bool,
    pub(crate) status: EnhancedStatus,
    /// The host that was asked last.
    pub(crate) host: Option<String>,
    /// Its words.
    pub(crate) reply: Option<String>,
    /// What happened.
    pub(crate) text: String,
}

impl Trouble {
    /// Something that no other host has said.
    pub(crate) fn ours(status: (u8, u16, u16), text: impl Into<String>) -> Self {
        Self {
            permanent: status.0 == 5,
            busy: false,
            status: EnhancedStatus(status.0, status.1, status.2),
            host: None,
            reply: None,
            text: text.into(),
        }
    }

    /// As many connections as this node may have are in use.
    pub(crate) fn busy(text: impl Into<String>) -> Self {
        // RFC 3463 §3.5: 4.4.5, congestion.
        Self {
            busy: true,
            ..Self::ours((4, 4, 5), text)
        }
    }

    /// What the client met at `host`.
    pub(crate) fn met(host: &str, failure: &Failure) -> Self {
        Self {
            permanent: failure.kind == Kind::Permanent,
            busy: false,
            status: failure.status,
            host: Some(host.to_owned()),
            reply: failure.reply.as_ref().map(words),
            text: failure.text.clone(),
        }
    }

    /// What the client was told at `host` about one recipient.
    pub(crate) fn said(host: &str, reply: &Reply) -> Self {
        let class = if reply.is_permanent() { 5 } else { 4 };
        let status = reply.enhanced.filter(|status| status.0 == class);
        Self {
            permanent: reply.is_permanent(),
            busy: false,
            status: status.unwrap_or(EnhancedStatus(class, 0, 0)),
            host: Some(host.to_owned()),
            reply: Some(words(reply)),
            text: format!("the server said: {}", words(reply)),
        }
    }

    /// The other side's words where it said something, else ours.
    pub(crate) fn spoken(&self) -> String {
        self.reply.clone().unwrap_or_else(|| self.text.clone())
    }

    /// One line for logs, lists and the entry.
    pub(crate) fn line(&self) -> String {
        let text = self.text.replace('\n', " ");
        match &self.host {
            Some(host) => format!("{host}: {text}"),
            None => text,
        }
    }
}

impl From<postrider_route::Error> for Trouble {
    fn from(error: postrider_route::Error) -> Self {
        let (status, text) = (error.status(), error.text().to_owned());
        Self {
            permanent: error.is_permanent(),
            busy: false,
            status,
            host: None,
            reply: None,
            text,
        }
    }
}

/// A reply as it is quoted: code, enhanced code and text in one line.
pub(crate) fn words(reply: &Reply) -> String {
    reply.to_string().replace('\n', " ")
}
