//! The part for people: what happened, to whom, what the other server said, and
//! what to do.

use std::time::Duration;

use super::clean::{one_line, reply_lines};
use super::{Action, Notice, Recipient, Returned, advice};
use crate::encode::encode;
use crate::transfer::TransferEncoding;
use crate::{date, header, text};

/// Where sentences are wrapped.
const WIDTH: usize = 72;
/// The longest line that needs no encoding (RFC 5322 §2.1.1).
const MAX_LINE: usize = 78;
const INDENT: &str = "    ";

/// The whole part, with its header and without the delimiters.
pub(super) fn part(notice: &Notice<'_>) -> Vec<u8> {
    let body = body(notice);
    let short = body.lines().all(|line| line.len() <= MAX_LINE);
    let (encoding, body) = match body.is_ascii() && short {
        true => ("7bit", body.into_bytes()),
        false => {
            let encoded = encode(TransferEncoding::QuotedPrintable, body.as_bytes());
            ("quoted-printable", encoded)
        }
    };
    let header = format!(
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    );
    [header.as_bytes(), &body].concat()
}

fn body(notice: &Notice<'_>) -> String {
    let mut out = String::new();
    let host = one_line(notice.reporting_mta);
    paragraph(&mut out, "", &format!("This is the mail server {host}."));
    about(&mut out, notice);
    type Group = (fn(&Action) -> bool, &'static str);
    let groups: [Group; 5] = [
        (
            |a| matches!(a, Action::Failed),
            "Your message could not be delivered to the following address. It will not be tried \
             again.",
        ),
        (
            |a| matches!(a, Action::Delayed { .. }),
            "Your message could not be delivered to the following address yet. The server keeps \
             trying: you need not send it again.",
        ),
        (
            |a| matches!(a, Action::Relayed),
            "Your message was passed on to a server that does not tell about deliveries. You \
             may hear nothing more about it.",
        ),
        (
            |a| matches!(a, Action::Expanded),
            "Your message was passed on to all who receive mail for the following address. \
             You are not told of each of them.",
        ),
        (
            |a| matches!(a, Action::Delivered),
            "Your message was delivered to the following address.",
        ),
    ];
    for (is_member, heading) in groups {
        let mut members = notice.recipients.iter().filter(|r| is_member(&r.action));
        let Some(first) = members.next() else {
            continue;
        };
        let rest: Vec<_> = members.collect();
        match rest.is_empty() {
            true => paragraph(&mut out, "", heading),
            false => paragraph(&mut out, "", &heading.replace("address", "addresses")),
        }
        for recipient in std::iter::once(first).chain(rest) {
            tell(&mut out, notice, recipient);
        }
    }
    let closing = match notice.returned {
        Returned::Header => "The header of your message is attached.",
        Returned::Message { .. } => "Your message is attached.",
    };
    paragraph(&mut out, "", closing);
    out.truncate(out.len() - "\r\n".len());
    out
}

/// Which message it is about.
fn about(out: &mut String, notice: &Notice<'_>) {
    if let Some(subject) = header::find(notice.header, "subject") {
        let subject = one_line(&text::decode_words(&subject.unfolded()));
        out.push_str(&format!("{INDENT}Subject: {}\r\n", subject.trim()));
    }
    let arrival = date::format(notice.arrival, 0);
    out.push_str(&format!("{INDENT}Received: {arrival}\r\n\r\n"));
}

/// What became of it for one recipient.
fn tell(out: &mut String, notice: &Notice<'_>, recipient: &Recipient<'_>) {
    out.push_str(&format!("<{}>\r\n", one_line(recipient.address)));
    let written = recipient.original.map(|o| o.decoded());
    if let Some((_, written)) = written.filter(|(_, w)| !w.eq_ignore_ascii_case(recipient.address))
    {
        let note = format!("You wrote to {}.", one_line(&written));
        lines(out, INDENT, &note);
    }
    let told = matches!(recipient.action, Action::Failed | Action::Delayed { .. });
    let advice = advice::of(recipient.status);
    if told {
        lines(out, INDENT, advice.reason);
        if let Some(tried) = tried(notice, recipient) {
            lines(out, INDENT, &tried);
        }
    }
    words(out, recipient);
    match recipient.action {
        Action::Failed => lines(out, INDENT, advice.help),
        Action::Delayed { until } => {
            let until = format!("It will be tried until {}.", date::format(until, 0));
            lines(out, INDENT, &until);
        }
        Action::Delivered | Action::Relayed | Action::Expanded => {}
    }
    out.push_str("\r\n");
}

/// How long it was tried, where it was more than once.
fn tried(notice: &Notice<'_>, recipient: &Recipient<'_>) -> Option<String> {
    let given_up = recipient.status.0 == 4 || (recipient.status.1, recipient.status.2) == (4, 7);
    let span = notice.date.since(notice.arrival);
    let worth = given_up && recipient.action == Action::Failed && span.as_secs() >= 60;
    worth.then(|| format!("It was tried for {} without success.", human(span)))
}

/// A span in the unit that fits.
fn human(span: Duration) -> String {
    let (count, unit) = match span.as_secs() / 60 {
        minutes @ 0..120 => (minutes, "minute"),
        minutes @ 120..2880 => (minutes / 60, "hour"),
        minutes => (minutes / 1440, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// What the other server said, word by word.
fn words(out: &mut String, recipient: &Recipient<'_>) {
    let said = recipient.reply.map(reply_lines).unwrap_or_default();
    if said.is_empty() {
        return;
    }
    let who = match recipient.remote_host {
        Some(host) => format!("The server {} said:", one_line(host)),
        None => "The reason in detail:".to_owned(),
    };
    lines(out, INDENT, &who);
    for line in said {
        out.push_str(&format!("{INDENT}{INDENT}{line}\r\n"));
    }
}

/// Appends `text`, wrapped, and an empty line.
fn paragraph(out: &mut String, indent: &str, text: &str) {
    lines(out, indent, text);
    out.push_str("\r\n");
}

/// Appends `text`, wrapped.
fn lines(out: &mut String, indent: &str, text: &str) {
    let mut column = 0;
    for word in text.split_ascii_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            out.push_str("\r\n");
            column = 0;
        }
        let before = if column == 0 { indent } else { " " };
        out.push_str(before);
        out.push_str(word);
        column += before.len() + length;
    }
    out.push_str("\r\n");
}
