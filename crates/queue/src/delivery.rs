//! One entry over one connection: its content is made ready and sent, and the
//! peer's answers become fates.

use std::sync::Arc;

use postrider_meta::{QueuedRecipient, QueuedView};
use postrider_proto::smtp;
use postrider_relay::{Envelope, Failure, Recipient, Verdict};

use crate::courier::Shared;
use crate::hands::Held;
use crate::line::Line;
use crate::prepare::prepare;
use crate::settle::Fate;
use crate::trouble::{Trouble, words};

/// Sends an entry. A failure says that no recipient was decided.
pub(crate) async fn deliver(
    shared: &Shared,
    line: &mut Line,
    held: &Held,
) -> Result<Vec<Fate>, Failure> {
    let entry = &held.entry;
    let capabilities = line.connection.capabilities().clone();
    let prepared = match prepare(shared, entry, capabilities.eight_bit).await {
        Ok(prepared) => prepared,
        Err(trouble) => return Ok(all(entry, |_| Fate::of(&trouble))),
    };
    let envelope = envelope(entry, prepared.eight_bit);
    let mut content = prepared.content;
    let grip = Arc::clone(&held.grip);
    let gate = move || grip.holds();
    let sent = line.connection.send(&envelope, &mut content, gate).await;
    let verdicts = sent?;
    let host = line.host().to_owned();
    let throttled = verdicts.iter().any(throttles);
    line.note(throttled);
    let fate = |verdict: Verdict| match verdict {
        Verdict::Delivered(reply) => Fate::Relayed {
            host: host.clone(),
            reply: words(&reply),
            tells: capabilities.dsn,
        },
        Verdict::Failed(reply) => Fate::Failed(Trouble::said(&host, &reply)),
        Verdict::Deferred(reply) => Fate::Deferred(Trouble::said(&host, &reply)),
    };
    Ok(verdicts.into_iter().map(fate).collect())
}

/// The same fate, or one by recipient, for all that are left of an entry.
pub(crate) fn all(entry: &QueuedView, fate: impl Fn(&QueuedRecipient) -> Fate) -> Vec<Fate> {
    entry.recipients.iter().map(fate).collect()
}

/// RFC 5321 §4.2.2, RFC 3463 §3.8: 421, and 4.7.x where it speaks of the sender's
/// rate, ask for less.
fn throttles(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Deferred(reply) if reply.code == 421)
}

fn envelope(entry: &QueuedView, eight_bit: bool) -> Envelope {
    let from = &entry.envelope;
    Envelope {
        reverse_path: (!from.reverse_path.is_empty()).then(|| from.reverse_path.clone()),
        recipients: entry.recipients.iter().map(recipient).collect(),
        eight_bit,
        smtp_utf8: from.smtp_utf8,
        ret: from.ret.map(|ret| match ret {
            postrider_meta::Return::Full => smtp::Return::Full,
            postrider_meta::Return::Headers => smtp::Return::Headers,
        }),
        envelope_id: from.envelope_id.as_deref().map(Into::into),
        require_tls: from.require_tls,
    }
}

fn recipient(queued: &QueuedRecipient) -> Recipient {
    let notify = queued.notify.map(|notify| match notify {
        postrider_meta::Notify {
            success: false,
            failure: false,
            delay: false,
        } => smtp::Notify::Never,
        postrider_meta::Notify {
            success,
            failure,
            delay,
        } => smtp::Notify::On {
            success,
            failure,
            delay,
        },
    });
    let original = queued.original.as_ref();
    Recipient {
        path: queued.address.clone(),
        notify,
        original: original.map(|(kind, address)| smtp::OriginalRecipient {
            kind: kind.as_str().into(),
            address: address.as_str().into(),
        }),
    }
}
