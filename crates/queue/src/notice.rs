//! Notices to senders (RFC 3461, RFC 3464) about what is or was in the queue: whom
//! to tell what. How it is written and addressed is `notice`'s.

use bytes::Bytes;
use postrider_body::Reader;
use postrider_message::report::{self, Action, MAX_RETURNED_HEADER};
use postrider_meta::command::Accept;
use postrider_meta::{QueuedRecipient, QueuedView, Return};
use postrider_notice::{About, Error, Original};
use postrider_types::{EnhancedStatus, Millis};

use crate::courier::Shared;
use crate::settle::Fate;

/// A message above this size is not returned whole, whatever was asked for.
const MAX_RETURNED: u64 = 10 << 20;

/// What a notice tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The message will not come.
    Failed,
    /// It takes long.
    Delayed,
    /// It was handed to a server that tells nothing more.
    Relayed,
}

/// What is told of one recipient.
pub(crate) struct Facts<'a> {
    pub(crate) recipient: &'a QueuedRecipient,
    pub(crate) fate: &'a Fate,
}

impl Kind {
    /// Whether the sender wants to be told this of a recipient. `warn`: it is time
    /// to say that it takes long.
    pub(crate) fn concerns(self, recipient: &QueuedRecipient, fate: &Fate, warn: bool) -> bool {
        // RFC 3461 §4.1: without NOTIFY, failures and delays.
        let (success, failure, delay) = match recipient.notify {
            Some(notify) => (notify.success, notify.failure, notify.delay),
            None => (false, true, true),
        };
        match (self, fate) {
            (Self::Failed, Fate::Failed(_)) => failure,
            (Self::Delayed, Fate::Deferred(_)) => warn && delay,
            (Self::Relayed, Fate::Relayed { tells, .. }) => success && !tells,
            _ => false,
        }
    }
}

/// A notice about `facts` to the sender of an entry.
pub(crate) async fn make(
    shared: &Shared,
    entry: &QueuedView,
    kind: Kind,
    facts: &[Facts<'_>],
    now: Millis,
) -> Result<Accept, Error> {
    // That the message itself cannot be read is no reason to keep silent.
    let reader = shared.handles.bodies.open(entry.body).await.ok();
    let header = match &reader {
        Some(reader) => header(&entry.prefix, reader).await,
        None => entry.prefix.clone(),
    };
    // RFC 8689 §5: of what had to be protected no more goes back than is needed.
    let whole = entry.envelope.ret == Some(Return::Full)
        && !entry.envelope.require_tls
        && kind == Kind::Failed
        && entry.size <= MAX_RETURNED;
    let original = reader.filter(|_| whole).map(|body| Original {
        prefix: entry.prefix.clone(),
        body,
    });
    let about = About {
        body: entry.body,
        reverse_path: &entry.envelope.reverse_path,
        envelope_id: entry.envelope.envelope_id.as_deref(),
        smtp_utf8: entry.envelope.smtp_utf8,
        require_tls: entry.envelope.require_tls,
        own: is_own(entry),
        overdraft: true,
        arrival: entry.created,
        header: &header,
    };
    let recipients: Vec<report::Recipient<'_>> = facts
        .iter()
        .map(|facts| recipient(facts, entry, kind, now))
        .collect();
    let notices = &shared.notices;
    notices.make(&about, &recipients, original, now).await
}

/// Whether the sender is local. Without a login it is known by the signature: only for a
/// client that may send as it does `smtp` ask for one. A list signs for itself.
fn is_own(entry: &QueuedView) -> bool {
    let signed = entry.envelope.sign.is_some() && !entry.list;
    signed || entry.envelope.submitter.is_some()
}

/// The start of the message up to the end of its header, as far as a notice
/// returns it.
async fn header(prefix: &Bytes, body: &Reader) -> Bytes {
    let start = body.read(0..MAX_RETURNED_HEADER as u64).await;
    let start = start.unwrap_or_default();
    let end = start.windows(4).position(|window| window == b"\r\n\r\n");
    let header = &start[..end.map_or(start.len(), |end| end + 4)];
    [prefix, header].concat().into()
}

fn recipient<'a>(
    facts: &Facts<'a>,
    entry: &QueuedView,
    kind: Kind,
    now: Millis,
) -> report::Recipient<'a> {
    let (status, host, reply) = match facts.fate {
        Fate::Relayed { host, reply, .. } => {
            (EnhancedStatus(2, 0, 0), Some(host.as_str()), reply.as_str())
        }
        Fate::Failed(trouble) | Fate::Deferred(trouble) => (
            trouble.status,
            trouble.host.as_deref(),
            trouble.reply.as_deref().unwrap_or(&trouble.text),
        ),
    };
    let original = facts.recipient.original.as_ref();
    report::Recipient {
        original: original.map(|(kind, address)| report::OriginalRecipient { kind, address }),
        address: &facts.recipient.address,
        action: match kind {
            Kind::Failed => Action::Failed,
            Kind::Delayed => Action::Delayed {
                until: entry.expires,
            },
            Kind::Relayed => Action::Relayed,
        },
        status,
        remote_host: host,
        reply: Some(reply),
        last_attempt: (entry.attempts > 0 || kind != Kind::Delayed).then_some(now),
    }
}

#[cfg(test)]
mod tests {
    use postrider_meta::{QueueEnvelope, QueueState};
    use postrider_types::{AccountId, BodyId, DomainName, QueueId};

    use super::*;

    fn entry(sign: bool, login: bool, list: bool) -> QueuedView {
        QueuedView {
            id: QueueId(1),
            body: BodyId::from_bytes([0; 16]),
            size: 0,
            envelope: QueueEnvelope {
                reverse_path: "ann@example.test".into(),
                ret: None,
                envelope_id: None,
                smtp_utf8: false,
                require_tls: false,
                tls_optional: false,
                sign: sign.then(|| DomainName::parse("example.test").unwrap()),
                submitter: login.then_some(AccountId(1)),
            },
            seal: None,
            prefix: Bytes::new(),
            destination: "far.test".into(),
            recipients: Vec::new(),
            created: Millis(0),
            due: Millis(0),
            warn: None,
            expires: Millis(0),
            attempts: 0,
            last_error: None,
            state: QueueState::Waiting,
            lease: 0,
            bulk: false,
            list,
            leaves: None,
        }
    }

    #[test]
    fn a_sender_of_a_trusted_network_is_local_as_one_with_a_login_is() {
        assert!(is_own(&entry(true, false, false)));
        assert!(is_own(&entry(false, true, false)));
        assert!(!is_own(&entry(false, false, false)), "a stranger");
        assert!(
            !is_own(&entry(true, false, true)),
            "a stranger's, by a list"
        );
    }
}
