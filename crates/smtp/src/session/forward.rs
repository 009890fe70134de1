//! Aliases and groups that forward to other servers: how their copies name them, and
//! whether a message has come back to one that it has left by.
//!
//! A mailbox is an end, from which nothing goes on. Mailing lists see to themselves
//! (`lists.rs`).

use postrider_proto::smtp::Reply;
use postrider_types::Address;

use super::deliver::Verdict;
use super::lists::Lists;
use crate::envelope::{Envelope, Queued};
use crate::header::Header;

/// The addresses of ours that lead to `queued`: the one that the sender asked for, and
/// the last on the way. Those between would tell of what is behind an address, and are
/// not needed to know the message again. None where the sender asked for the address
/// outside itself, and none for copies of mailing lists.
pub(super) fn forwarders(envelope: &Envelope, queued: &Queued) -> Vec<String> {
    let outside = &queued.outside;
    let last = outside.forwarder.as_ref();
    let Some(last) = last.filter(|_| outside.member.is_none()) else {
        return Vec::new();
    };
    let asked = envelope.recipients.get(queued.recipient);
    let asked = asked.and_then(|asked| Address::parse(&asked.path).ok());
    let mut names = vec![last.to_string()];
    names.extend(asked.filter(|it| it != last).map(|it| it.to_string()));
    // RFC 6532 §3: only what is sent with SMTPUTF8 has such fields. What was asked for is
    // ASCII otherwise, so that one name remains.
    let utf8 = envelope.mail.parameters.smtp_utf8;
    names.retain(|name| utf8 || name.is_ascii());
    names
}

/// The header fields by which a copy is known when it comes back.
pub(super) fn fields(forwarders: &[String]) -> String {
    let fields = forwarders.iter();
    fields
        .map(|address| format!("Delivered-To: {address}\r\n"))
        .collect()
}

/// The way outside that is open to a message with this `header`, or why there is none.
pub(super) fn open<'q>(
    envelope: &Envelope,
    lists: &Lists<'_>,
    header: &Header,
    queued: &'q Queued,
) -> Result<&'q Queued, Reply> {
    let queued = lists.queued(queued).map_err(Reply::clone)?;
    cut(envelope, header, queued).map(|()| queued)
}

/// Refuses a message that comes back to what forwards it.
fn cut(envelope: &Envelope, header: &Header, queued: &Queued) -> Verdict {
    let mut names = forwarders(envelope, queued).into_iter();
    match names.find(|name| header.was_delivered_to(name)) {
        Some(name) => {
            let text = format!("the message was forwarded by {name} before: it goes in a circle");
            Err(Reply::new(554, (5, 4, 6), text))
        }
        None => Ok(()),
    }
}

/// Why the message is refused as a whole where one reply stands for all recipients. With
/// 250 the sender would not hear that those behind an address go without, and a notice
/// would go to whomever a stranger has named as the sender.
pub(super) fn refusal(envelope: &Envelope, lists: &Lists<'_>, header: &Header) -> Option<Reply> {
    let ways = envelope.queued.iter();
    let mut ways = ways.filter_map(|queued| lists.queued(queued).ok());
    ways.find_map(|queued| cut(envelope, header, queued).err())
}
