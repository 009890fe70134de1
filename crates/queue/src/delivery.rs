//! One entry over one connection: its content is made ready and sent, and the
//! peer's answers become fates.

use std::time::Duration;

use postrider_meta::{QueueState, QueuedRecipient, QueuedView, ReadAt, query};
use postrider_proto::smtp;
use postrider_relay::{Envelope, Failure, Gate, Recipient, Reply, Verdict};
use postrider_types::EnhancedStatus;
use tokio::time::timeout;

use crate::courier::Shared;
use crate::hands::Held;
use crate::line::Line;
use crate::prepare::prepare;
use crate::settle::Fate;
use crate::trouble::{Trouble, words};

/// How long the metadata are asked whether an entry is still this node's.
const CONFIRM: Duration = Duration::from_secs(5);

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
    let gate = Claim { shared, held };
    let sent = line.connection.send(&envelope, &mut content, gate).await;
    let verdicts = sent?;
    let host = line.host().to_owned();
    let throttled = asks_for_less(&verdicts);
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

/// Whether an entry is still this node's. What was removed or held while it was sent shall
/// not arrive.
struct Claim<'a> {
    shared: &'a Shared,
    held: &'a Held,
}

impl Gate for Claim<'_> {
    async fn is_open(&self) -> bool {
        if !self.held.grip.is_fresh() {
            confirm(self.shared, self.held).await;
        }
        self.held.grip.holds()
    }
}

/// Gives up the grip where the metadata do not have the lease any more.
async fn confirm(shared: &Shared, held: &Held) {
    let grip = &held.grip;
    let lease = grip.lease();
    let ids = vec![grip.id];
    let asked = shared
        .handles
        .meta
        .ask(query::Queued { ids }, ReadAt::Latest);
    // Where nobody answers, the lease alone says that nobody else sends it.
    let Ok(Ok((entries, _))) = timeout(CONFIRM, asked).await else {
        return;
    };
    let is_ours = |entry: &QueuedView| {
        entry.lease == lease && matches!(entry.state, QueueState::Leased { .. })
    };
    if !entries.iter().flatten().any(is_ours) {
        grip.lose(lease);
    }
}

/// The same fate, or one by recipient, for all that are left of an entry.
pub(crate) fn all(entry: &QueuedView, fate: impl Fn(&QueuedRecipient) -> Fate) -> Vec<Fate> {
    entry.recipients.iter().map(fate).collect()
}

/// Whether a host asks for less by what it says of the recipients. One of them alone
/// may be deferred for reasons of its own.
fn asks_for_less(verdicts: &[Verdict]) -> bool {
    let deferred = |verdict: &Verdict, test: fn(&Reply) -> bool| matches!(verdict, Verdict::Deferred(reply) if test(reply));
    verdicts.iter().any(|it| deferred(it, is_closing))
        || (!verdicts.is_empty() && verdicts.iter().all(|it| deferred(it, throttles)))
}

/// RFC 5321 §4.2.2: the host closes the connection.
fn is_closing(reply: &Reply) -> bool {
    reply.code == 421
}

/// Whether a host asks for less with this reply: 421, or 450 and 451 with a status that
/// speaks of the sender's rate. 4.7.0 and 4.7.28 are the large providers' words for
/// that, 4.7.500 and 4.7.650 to 4.7.659 those of one of them. Greylisting says 4.7.1 or
/// 4.2.x: that is about one message, and keeps no others waiting.
pub(crate) fn throttles(reply: &Reply) -> bool {
    let speaks_of_rate = |status: EnhancedStatus| {
        let EnhancedStatus(class, subject, detail) = status;
        (class, subject) == (4, 7) && matches!(detail, 0 | 28 | 500 | 650..=659)
    };
    let deferred = matches!(reply.code, 450 | 451);
    is_closing(reply) || (deferred && reply.enhanced.is_some_and(speaks_of_rate))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn deferred(code: u16, detail: Option<(u16, u16)>) -> Verdict {
        Verdict::Deferred(Reply {
            code,
            enhanced: detail.map(|(subject, detail)| EnhancedStatus(4, subject, detail)),
            text: "later".into(),
        })
    }

    #[test]
    fn words_about_the_rate_ask_for_less_and_greylisting_does_not() {
        for (code, detail, wanted) in [
            (421, None, true),
            (421, Some((2, 1)), true),
            (450, Some((7, 0)), true),
            (451, Some((7, 28)), true),
            (451, Some((7, 651)), true),
            (452, Some((7, 0)), false),
            (450, None, false),
            (450, Some((7, 1)), false),
            (451, Some((2, 0)), false),
        ] {
            let verdicts = [deferred(code, detail)];
            assert_eq!(asks_for_less(&verdicts), wanted, "{code} {detail:?}");
        }
    }

    #[test]
    fn one_recipient_alone_does_not_ask_for_less() {
        let rate = || deferred(450, Some((7, 0)));
        assert!(asks_for_less(&[rate(), rate()]));
        assert!(!asks_for_less(&[rate(), deferred(450, Some((2, 1)))]));
        let closing = deferred(421, None);
        assert!(asks_for_less(&[closing, deferred(450, Some((2, 1)))]));
        assert!(!asks_for_less(&[]));
    }
}
