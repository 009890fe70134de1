//! The part for machines: message/delivery-status (RFC 3464 §2), or its form with
//! UTF-8 (RFC 6533 §5).

use postrider_types::Millis;

use super::clean::{ascii_or, field, one_line, reply_lines};
use super::{Action, Notice, OriginalRecipient, Recipient};
use crate::date;

/// The whole part, with its header and without the delimiters.
pub(super) fn part(notice: &Notice<'_>, smtp_utf8: bool) -> Vec<u8> {
    let mut body = String::new();
    if let Some(id) = notice.envelope_id {
        put(&mut body, "Original-Envelope-Id", id, smtp_utf8);
    }
    let mta = format!("dns; {}", notice.reporting_mta);
    put(&mut body, "Reporting-MTA", &mta, smtp_utf8);
    put_date(&mut body, "Arrival-Date", notice.arrival);
    for recipient in notice.recipients {
        body.push_str("\r\n");
        put_recipient(&mut body, recipient, smtp_utf8);
    }
    let header = match body.is_ascii() {
        true => "Content-Type: message/delivery-status\r\n\r\n",
        false => {
            "Content-Type: message/global-delivery-status\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n"
        }
    };
    [header.as_bytes(), body.as_bytes()].concat()
}

fn put_recipient(out: &mut String, recipient: &Recipient<'_>, utf8: bool) {
    if let Some(original) = recipient.original {
        let (kind, address) = original.decoded();
        put_address(out, "Original-Recipient", kind, &address, utf8);
    }
    let kind = match recipient.address.is_ascii() {
        true => "rfc822",
        false => "utf-8",
    };
    put_address(out, "Final-Recipient", kind, recipient.address, utf8);
    let action = match recipient.action {
        Action::Failed => "failed",
        Action::Delayed { .. } => "delayed",
        Action::Delivered => "delivered",
        Action::Relayed => "relayed",
        Action::Expanded => "expanded",
    };
    put(out, "Action", action, utf8);
    put(out, "Status", &recipient.status.to_string(), utf8);
    if let Some(host) = recipient.remote_host {
        put(out, "Remote-MTA", &format!("dns; {host}"), utf8);
    }
    if let Some(reply) = recipient.reply {
        // RFC 3464 §2.3.6: smtp is what a server replied, all else is our own.
        let kind = recipient.remote_host.map_or("x-postrider", |_| "smtp");
        let words = reply_lines(reply).join(" ");
        let words = ascii_or(words, utf8);
        field(out, "Diagnostic-Code", &format!("{kind}; {words}"));
    }
    if let Some(at) = recipient.last_attempt {
        put_date(out, "Last-Attempt-Date", at);
    }
    if let Action::Delayed { until } = recipient.action {
        put_date(out, "Will-Retry-Until", until);
    }
}

fn put(out: &mut String, name: &str, value: &str, utf8: bool) {
    field(out, name, &ascii_or(one_line(value), utf8));
}

fn put_date(out: &mut String, name: &str, at: Millis) {
    field(out, name, &date::format(at, 0));
}

fn put_address(out: &mut String, name: &str, kind: &str, address: &str, utf8: bool) {
    let address = match address.is_ascii() || utf8 {
        true => address.to_owned(),
        false => unicode_xtext(address),
    };
    put(out, name, &format!("{kind}; {address}"), utf8);
}

impl<'a> OriginalRecipient<'a> {
    /// Its type, and the address without its encoding. That of `utf-8` is one that
    /// may stand in a notice as it is (RFC 6533 §3).
    pub(super) fn decoded(self) -> (&'a str, String) {
        let decoded = match self.kind.eq_ignore_ascii_case("utf-8") {
            true => None,
            false => xtext(self.address),
        };
        (self.kind, decoded.unwrap_or_else(|| self.address.into()))
    }
}

/// Decodes xtext (RFC 3461 §4); None where it is none or holds other than
/// printable ASCII.
fn xtext(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (byte, length) = match c {
            '+' => (u8::from_str_radix(rest.get(1..3)?, 16).ok()?, 3),
            '!'..='~' => (u8::try_from(c).ok()?, 1),
            _ => return None,
        };
        if !matches!(byte, b' '..=b'~') {
            return None;
        }
        out.push(char::from(byte));
        rest = &rest[length..];
    }
    Some(out)
}

/// utf-8-addr-xtext (RFC 6533 §3): the address in ASCII.
fn unicode_xtext(address: &str) -> String {
    let mut out = String::new();
    for c in address.chars() {
        match c {
            '!'..='~' if !matches!(c, '\\' | '+' | '=') => out.push(c),
            _ => out.push_str(&format!("\\x{{{:X}}}", u32::from(c))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn original_recipients_are_decoded() {
        for (kind, address, want) in [
            ("rfc822", "ann+2Bx@example.org", "ann+x@example.org"),
            ("rfc822", "ann+zz@example.org", "ann+zz@example.org"),
            ("rfc822", "ann+", "ann+"),
            ("rfc822", "a+0Ab", "a+0Ab"),
            ("UTF-8", "j\\x{FC}r+2B", "j\\x{FC}r+2B"),
            ("utf-8", "jür", "jür"),
        ] {
            let original = OriginalRecipient { kind, address };
            assert_eq!(original.decoded(), (kind, want.into()));
        }
        assert_eq!(unicode_xtext("jü+\\r@x"), "j\\x{FC}\\x{2B}\\x{5C}r@x");
    }
}
