//! Delivery status notifications (RFC 3464): what becomes of a message, told to
//! its sender in words and in fields, with the message or its header behind them.
//!
//! Owns the whole form of a notice ([`Notice::write`]); whether there is to be one,
//! and about which recipients, is decided by the queue. The returned message is
//! never held: a notice is what stands before it and what stands behind it.

mod advice;
mod clean;
mod returned;
mod status;
mod text;

use postrider_types::{EnhancedStatus, Millis};

use crate::{date, header, thread};
use clean::{ascii_or, one_line};

pub use returned::MAX_RETURNED_HEADER;

/// What became of the message for one recipient (RFC 3464 §2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was not delivered and will not be.
    Failed,
    /// It was not delivered yet.
    Delayed {
        /// When it will be given up.
        until: Millis,
    },
    /// It was delivered.
    Delivered,
    /// It was handed to a server that tells nothing more.
    Relayed,
    /// It was sent on to all that receive mail for the address, and the success of
    /// each is not told.
    Expanded,
}

/// A recipient as the sender first wrote it: RCPT's ORCPT (RFC 3461 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginalRecipient<'a> {
    /// The address type, such as `rfc822`.
    pub kind: &'a str,
    /// The address as ORCPT has it, still in xtext.
    pub address: &'a str,
}

/// What is told about one recipient.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// As the sender first wrote it, if that was told.
    pub original: Option<OriginalRecipient<'a>>,
    /// The address that it came to.
    pub address: &'a str,
    /// What became of it.
    pub action: Action,
    /// Why.
    pub status: EnhancedStatus,
    /// The server that was asked last. None where it was this one that decided.
    pub remote_host: Option<&'a str>,
    /// That server's reply, code and all, its lines separated by `\n`; without a
    /// remote host, what this server has to say.
    pub reply: Option<&'a str>,
    /// When delivery was last tried.
    pub last_attempt: Option<Millis>,
}

/// How much of the message goes back (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    /// Its header, as far as it is at hand.
    Header,
    /// All of it: it is to be put between [`Report::head`] and [`Report::tail`].
    Message {
        /// It has octets above 127.
        eight_bit: bool,
    },
}

/// All that a notice is made from. Texts may hold anything: no control character
/// in them gets into a field.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// The host that tells.
    pub reporting_mta: &'a str,
    /// The sender's id of the envelope (ENVID), decoded.
    pub envelope_id: Option<&'a str>,
    /// When the message arrived.
    pub arrival: Millis,
    /// The recipients that it tells about, at least one.
    pub recipients: &'a [Recipient<'a>],
    /// The address it comes from, such as `MAILER-DAEMON@mx.example.org`. The
    /// envelope's sender is empty (RFC 3464 §2).
    pub from: &'a str,
    /// The message's sender, to whom it goes.
    pub to: &'a str,
    /// Its Message-ID, with brackets.
    pub message_id: &'a str,
    /// Now.
    pub date: Millis,
    /// The message was sent with SMTPUTF8, so that its sender takes such mail.
    pub smtp_utf8: bool,
    /// The message's raw header, or as much of its start as is at hand.
    pub header: &'a [u8],
    /// How much of the message goes back.
    pub returned: Returned,
    /// Random bytes: they make the boundary, so that no message can hold it.
    pub random: [u8; 16],
}

/// A notice, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// All up to the returned message, or to the end of the returned header.
    pub head: Vec<u8>,
    /// What follows the returned message, or the returned header.
    pub tail: Vec<u8>,
    /// It has octets above 127 and is to be sent with BODY=8BITMIME.
    pub eight_bit: bool,
    /// Its header or an address has such octets: it is to be sent with SMTPUTF8.
    pub smtp_utf8: bool,
}

impl Notice<'_> {
    /// Writes the notice.
    pub fn write(&self) -> Report {
        let mut boundary = String::from("=_");
        for byte in self.random {
            boundary.push_str(&format!("{byte:02x}"));
        }
        let smtp_utf8 = self.needs_utf8();
        let text = text::part(self);
        let status = status::part(self, smtp_utf8);
        let returned = returned::part(self, smtp_utf8);
        let whole = matches!(self.returned, Returned::Message { eight_bit: true });
        let eight_bit = smtp_utf8 || whole;

        let mut head = self.fields(&boundary, smtp_utf8, eight_bit).into_bytes();
        // The line end before a delimiter is the delimiter's (RFC 2046 §5.1.1).
        let delimiter = format!("\r\n--{boundary}");
        head.extend_from_slice(delimiter.trim_start().as_bytes());
        for (index, part) in [text, status, returned].iter().enumerate() {
            if index > 0 {
                head.extend_from_slice(delimiter.as_bytes());
            }
            head.extend_from_slice(b"\r\n");
            head.extend_from_slice(part);
        }
        Report {
            head,
            tail: format!("{delimiter}--\r\n").into_bytes(),
            eight_bit,
            smtp_utf8,
        }
    }

    /// Whether it is to be sent with SMTPUTF8: where there is something to tell that
    /// ASCII cannot, to a sender that takes it. A sender whose own address is no
    /// ASCII does.
    fn needs_utf8(&self) -> bool {
        let addresses = self.recipients.iter().any(|r| !r.address.is_ascii());
        let told = addresses || self.has_utf8_header();
        !self.to.is_ascii() || (self.smtp_utf8 && told)
    }

    /// Whether the message's header is one of RFC 6532, not merely broken.
    fn has_utf8_header(&self) -> bool {
        !self.header.is_ascii() && std::str::from_utf8(self.header).is_ok()
    }

    /// The notice's own header with the empty line at its end.
    fn fields(&self, boundary: &str, smtp_utf8: bool, eight_bit: bool) -> String {
        let plain = |text: &str| ascii_or(one_line(text), smtp_utf8);
        let subject = match self.outcome() {
            Action::Failed => "Your message could not be delivered",
            Action::Delayed { .. } => "Your message is delayed",
            Action::Delivered => "Your message was delivered",
            Action::Relayed | Action::Expanded => "Your message was passed on",
        };
        let mut out = format!(
            "Date: {}\r\nFrom: Mail delivery <{}>\r\nTo: <{}>\r\nSubject: {subject}\r\n\
             Message-ID: {}\r\n",
            date::format(self.date, 0),
            plain(self.from),
            plain(self.to),
            plain(self.message_id),
        );
        // RFC 3834 §3.1.5: so that it is shown beside the message it is about.
        if let Some(id) = self.original_id() {
            out.push_str(&format!("In-Reply-To: <{id}>\r\nReferences: <{id}>\r\n"));
        }
        let encoding = if eight_bit { "8bit" } else { "7bit" };
        // RFC 3834 §5.1: nothing is to answer this.
        out.push_str(&format!(
            "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\
             \tboundary=\"{boundary}\"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n",
        ));
        out
    }

    /// What it tells first: the worst.
    fn outcome(&self) -> Action {
        let rank = |action: &Action| match action {
            Action::Failed => 0,
            Action::Delayed { .. } => 1,
            Action::Relayed => 2,
            Action::Expanded => 3,
            Action::Delivered => 4,
        };
        let actions = self.recipients.iter().map(|r| r.action);
        actions.min_by_key(rank).unwrap_or(Action::Failed)
    }

    /// The Message-ID of the message, if it has a plain one.
    fn original_id(&self) -> Option<String> {
        let value = header::find(self.header, "message-id")?.unfolded();
        let id = thread::read(Some(&value), None, None, None).message_id?;
        let text = String::from_utf8(id.into()).ok()?;
        let plain = text.len() <= 250 && text.bytes().all(|b| b.is_ascii_graphic());
        plain.then_some(text)
    }
}

#[cfg(test)]
mod tests;
