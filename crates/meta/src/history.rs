//! The history of messages: one row for the acceptance, which all mail pays, and
//! one for each thing that happened outside later.

use postrider_kv::{self as kv, Range, Txn};
use postrider_types::{BodyId, Millis};

use crate::queue::cut;
use crate::view::{Event, Origin};
use crate::{key, limit, row};

/// The recipients of a message that is being accepted: some by name, all counted.
#[derive(Debug, Default)]
pub(crate) struct Recipients {
    named: Vec<row::Accepted>,
    count: u64,
}

impl Recipients {
    /// Adds one.
    pub(crate) fn add(&mut self, recipient: impl FnOnce() -> row::Accepted) {
        self.count += 1;
        if self.named.len() < limit::NAMED {
            self.named.push(recipient());
        }
    }
}

/// Begins the history of a message that was accepted.
pub(crate) fn begin(
    txn: &mut impl Txn,
    body: BodyId,
    at: Millis,
    origin: Origin,
    recipients: Recipients,
) {
    let acceptance = row::Acceptance {
        peer: cut(origin.peer, limit::ORIGIN),
        login: origin.login.map(|account| account.0),
        protocol: cut(origin.protocol, limit::ORIGIN),
        reverse_path: cut(origin.reverse_path, limit::QUEUED_ADDRESS),
        recipients: recipients.named,
        count: recipients.count,
    };
    let row = row::Event {
        at: at.0,
        node: origin.node.map(|node| node.0),
        acceptance: Some(acceptance),
        ..row::Event::default()
    };
    row::put(txn, key::event(body, 0), &row);
}

/// Goes on with the history of a message.
pub(crate) async fn append<T: Txn>(
    txn: &mut T,
    body: BodyId,
    events: impl IntoIterator<Item = Event>,
) -> kv::Result<()> {
    let last = Range::prefix(&key::history_of(body), 1).reversed();
    let mut number = match txn.range(last).await?.first() {
        Some((key, _)) => key::event_of(key).ok_or_else(|| row::bad_key(key))?.1,
        // The first number is the acceptance's, also where nothing is known of it.
        None => 0,
    };
    let cut = |text: Option<String>| text.map(|text| cut(text, limit::REPLY));
    for event in events {
        number = number.saturating_add(1);
        let event = Event {
            recipient: cut(event.recipient),
            host: cut(event.host),
            reply: cut(event.reply),
            ..event
        };
        row::put(txn, key::event(body, number), &row::Event::new(event));
    }
    Ok(())
}
