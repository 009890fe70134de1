//! Random sequences of commands: whatever happens in whatever order, the store
//! stays whole, and no UID or MODSEQ goes back.

use std::collections::BTreeMap;
use std::sync::Arc;

use postrider_types::{BodyId, Clock, CommandId, MailboxId, NodeId, QueueId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::{Backend, Fixture, ManualClock, flags_of, queue};
use crate::command as c;
use crate::query as q;
use crate::{EventKind, QuotaLimit, UidRanges, limit};

/// Few names, so that they meet.
const NAMES: [&str; 5] = ["INBOX", "a", "a/b", "a/b/c", "d"];
const FLAGS: [&str; 4] = ["\\Seen", "\\Deleted", "\\Flagged", "word"];

const DESTINATIONS: [&str; 3] = ["one.test", "two.test", "[192.0.2.1]"];
const CHANGES: [c::QueueChange; 4] = [
    c::QueueChange::Retry,
    c::QueueChange::Hold,
    c::QueueChange::Release,
    c::QueueChange::Remove,
];

#[derive(Clone, Debug)]
enum Step {
    Create(usize),
    Rename(usize, usize),
    Delete(usize),
    Accept(usize, usize),
    Append(usize, usize),
    Store(usize, u32, usize, usize),
    Copy(usize, u32, usize, bool),
    Expunge(usize, u32, bool),
    Pack(u32),
    Repack,
    Purge(u32),
    Trim,
    Wait(u64),
    Quota(u64),
    Enqueue(usize, usize, bool),
    Lease(u32, u32, bool),
    Settle(usize, usize, bool),
    Change(u64, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    prop_oneof![
        2 => name.clone().prop_map(Step::Create),
        1 => (name.clone(), name.clone()).prop_map(|(a, b)| Step::Rename(a, b)),
        1 => name.clone().prop_map(Step::Delete),
        6 => (name.clone(), 1..40usize).prop_map(|(n, size)| Step::Accept(n, size)),
        3 => (name.clone(), 1..4usize).prop_map(|(n, count)| Step::Append(n, count)),
        6 => (name.clone(), 1..8u32, 0..FLAGS.len(), 0..3usize)
            .prop_map(|(n, uid, flag, mode)| Step::Store(n, uid, flag, mode)),
        4 => (name.clone(), 1..8u32, name.clone(), any::<bool>())
            .prop_map(|(a, uid, b, remove)| Step::Copy(a, uid, b, remove)),
        3 => (name, 1..8u32, any::<bool>()).prop_map(|(n, uid, d)| Step::Expunge(n, uid, d)),
        2 => (1..6u32).prop_map(Step::Pack),
        1 => Just(Step::Repack),
        2 => (1..4u32).prop_map(Step::Purge),
        1 => Just(Step::Trim),
        1 => (1..40u64).prop_map(Step::Wait),
        1 => (50..2000u64).prop_map(Step::Quota),
        5 => (0..DESTINATIONS.len(), 1..4usize, any::<bool>())
            .prop_map(|(d, recipients, here)| Step::Enqueue(d, recipients, here)),
        4 => (1..4u32, 1..3u32, any::<bool>()).prop_map(|(n, each, b)| Step::Lease(n, each, b)),
        5 => (0..4usize, 0..4usize, any::<bool>()).prop_map(|(n, o, b)| Step::Settle(n, o, b)),
        2 => (1..8u64, 0..CHANGES.len()).prop_map(|(id, change)| Step::Change(id, change)),
    ]
}

pub(super) async fn any_sequence_of_commands_keeps_the_store_whole<B: Backend>(
    start: &impl AsyncFn(Arc<dyn Clock>) -> Arc<B>,
) {
    let mut runner = TestRunner::deterministic();
    for _ in 0..16 {
        let steps = vec(step(), 20..60).new_tree(&mut runner);
        let steps = steps.expect("the strategy rejects nothing").current();
        let clock = ManualClock::new();
        let fixture = Fixture::new(start(clock.clone()).await, clock).await;
        let mut seen = BTreeMap::new();
        for (n, step) in steps.iter().enumerate() {
            apply(&fixture, step).await;
            fixture.check(&format!("step {n} of {steps:?}")).await;
            ascends(&fixture, &mut seen).await;
        }
    }
}

/// UIDNEXT and HIGHESTMODSEQ of a mailbox never go back.
async fn ascends(f: &Fixture, seen: &mut BTreeMap<MailboxId, (u32, u64)>) {
    for name in NAMES {
        let Some(mailbox) = f.find(name).await else {
            continue;
        };
        let now = (mailbox.uid_next.0, mailbox.highest_mod_seq.0);
        let before = seen.insert(mailbox.id, now).unwrap_or_default();
        assert!(now.0 >= before.0 && now.1 >= before.1, "{name}");
    }
}

/// Refusals are as good as successes here: only what is left behind counts.
async fn apply(f: &Fixture, step: &Step) {
    let account = f.ann;
    let id = async |name: usize| f.find(NAMES[name]).await.map(|mailbox| mailbox.id);
    let name = |name: usize| NAMES[name].to_owned();
    match *step {
        Step::Create(at) => {
            let special_use = None;
            let name = name(at);
            let _ = f
                .try_run(c::CreateMailbox {
                    account,
                    name,
                    special_use,
                })
                .await;
        }
        Step::Rename(from, to) => {
            let (from, to) = (name(from), name(to));
            let _ = f.try_run(c::RenameMailbox { account, from, to }).await;
        }
        Step::Delete(at) => {
            let name = name(at);
            let _ = f.try_run(c::DeleteMailbox { account, name }).await;
        }
        Step::Accept(at, size) => {
            let body = f.body(&"x".repeat(size));
            let deliveries = vec![Fixture::delivery(account, NAMES[at])];
            let received = f.clock.now();
            let _ = f
                .try_run(c::Accept {
                    body,
                    deliveries,
                    received,
                    queued: None,
                    origin: None,
                    notices: Vec::new(),
                })
                .await;
        }
        Step::Append(at, count) => {
            let message = |k| c::AppendMessage {
                body: f.body(&"y".repeat(k + 1)),
                flags: flags_of(&FLAGS[..k]),
                internal_date: f.clock.now(),
                zone: 60,
            };
            let messages = (0..count).map(message).collect();
            let mailbox = name(at);
            let _ = f
                .try_run(c::Append {
                    account,
                    mailbox,
                    messages,
                })
                .await;
        }
        Step::Store(at, uid, flag, mode) => {
            let modes = [
                c::StoreMode::Add,
                c::StoreMode::Remove,
                c::StoreMode::Replace,
            ];
            if let Some(mailbox) = id(at).await {
                let store = c::Store {
                    account,
                    mailbox,
                    uids: UidRanges(vec![uid..=uid + 2]),
                    mode: modes[mode],
                    flags: flags_of(&FLAGS[flag..=flag]),
                    unchanged_since: None,
                };
                let _ = f.try_run(store).await;
            }
        }
        Step::Copy(from, uid, to, remove) => {
            if let Some(from) = id(from).await {
                let uids = UidRanges(vec![uid..=uid + 3]);
                let to = name(to);
                let _ = f
                    .try_run(c::Copy {
                        account,
                        from,
                        uids,
                        to,
                        remove,
                    })
                    .await;
            }
        }
        Step::Expunge(at, uid, only_deleted) => {
            if let Some(mailbox) = id(at).await {
                let uids = UidRanges(vec![uid..=uid + 4]);
                let limit = 2;
                let expunge = c::Expunge {
                    account,
                    mailbox,
                    uids,
                    only_deleted,
                    limit,
                };
                let _ = f.try_run(expunge).await;
            }
        }
        Step::Pack(limit) => {
            let page = f.ask(q::InlineBodies {
                from: None,
                after: None,
                limit,
                max_bytes: 1000,
            });
            relocate(f, page.await.items).await;
        }
        Step::Repack => {
            let page = f
                .ask(q::Packs {
                    after: None,
                    limit: 1,
                })
                .await;
            if let Some(pack) = page.items.into_iter().next() {
                let key = pack.key;
                let page = f.ask(q::PackContents {
                    key,
                    after: None,
                    limit: 100,
                });
                relocate(f, page.await.items).await;
            }
        }
        Step::Purge(limit) => {
            let _ = f.try_run(c::Purge { limit }).await;
        }
        Step::Trim => {
            let dedup_before = CommandId::floor(f.clock.now());
            let history_before = BodyId::floor(f.clock.now().before(limit::HISTORY_AGE));
            let trim = c::Trim {
                dedup_before,
                history_before,
            };
            let _ = f.try_run(trim).await;
        }
        Step::Wait(days) => f
            .clock
            .advance(std::time::Duration::from_secs(days * 24 * 3600)),
        Step::Quota(bytes) => {
            let quota = QuotaLimit {
                bytes: Some(bytes),
                messages: Some(20),
            };
            let set = c::SetAccount {
                address: Fixture::address("ann"),
                verifier: c::Change::Keep,
                quota: c::Change::Set(quota),
                expires: c::Change::Keep,
                state: c::Change::Keep,
            };
            let _ = f.try_run(set).await;
        }
        Step::Enqueue(at, recipients, here) => {
            let to = queue::to(DESTINATIONS[at], &["x", "y", "z"][..recipients]);
            let also = queue::to(DESTINATIONS[0], &["x"]);
            let accept = c::Accept {
                body: f.body("outbound"),
                deliveries: here
                    .then(|| Fixture::delivery(account, "INBOX"))
                    .into_iter()
                    .collect(),
                received: f.clock.now(),
                queued: Some(queue::new_queued(f, vec![to, also])),
                origin: here.then(queue::origin),
                notices: Vec::new(),
            };
            let _ = f.try_run(accept).await;
        }
        Step::Lease(limit, per_destination, busy) => {
            let busy = busy.then(|| DESTINATIONS[0].to_owned());
            let lease = c::LeaseQueued {
                limit,
                per_destination,
                busy: busy.into_iter().collect(),
                since: f.clock.now(),
                ..queue::lease(NodeId(1))
            };
            let _ = f.try_run(lease).await;
        }
        Step::Settle(nth, outcome, late) => settle(f, nth, outcome, late).await,
        Step::Change(id, change) => {
            let ids = vec![QueueId(id), QueueId(id + 2)];
            let change = CHANGES[change];
            let _ = f.try_run(c::ChangeQueued { ids, change }).await;
        }
    }
}

/// Settles some entry that is in hand: with a notice, in part, or for the whole
/// destination; perhaps under the number of an earlier lease.
async fn settle(f: &Fixture, nth: usize, outcome: usize, late: bool) {
    let leased = f.ask(q::Queue {
        filter: q::QueueFilter {
            state: Some(q::StateKind::Leased),
            ..q::QueueFilter::default()
        },
        now: f.clock.now(),
        after: None,
        limit: 10,
    });
    let Some(entry) = leased.await.items.into_iter().nth(nth) else {
        return;
    };
    let due = f.clock.now().after(limit::LEASE_TTL);
    let again = queue::again(entry.id, entry.lease - u64::from(late), due);
    let recipients = u32::try_from(entry.recipients.len()).unwrap_or(0);
    let settle = match outcome {
        0 => c::SettleQueued {
            notices: vec![queue::notice(f)],
            events: vec![queue::event(f, EventKind::Failed)],
            ..queue::done(entry.id, again.lease, recipients)
        },
        1 => c::SettleQueued {
            destination: c::DestinationChange::Rest {
                until: due.after(limit::LEASE_TTL),
                error: "refused".into(),
            },
            ..again
        },
        2 => c::SettleQueued {
            results: vec![(0, c::Settled::Gone)],
            destination: c::DestinationChange::Works,
            ..again
        },
        _ => again,
    };
    let _ = f.try_run(settle).await;
}

async fn relocate(f: &Fixture, bodies: Vec<crate::BodyView>) {
    let mut length = 0;
    let mut moves = Vec::new();
    for body in bodies {
        moves.push(c::Move {
            body: body.id,
            from: body.place,
            offset: length,
            length: body.size,
        });
        length += body.size;
    }
    let key = f.pack_key();
    let _ = f.try_run(c::Relocate { key, length, moves }).await;
}
