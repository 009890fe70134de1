//! The queue of outbound mail, and what lies beside it: the history of messages,
//! TLS policies, results of TLS, signing keys.

use std::collections::BTreeMap;

use postrider_kv::{self as kv, Read};
use postrider_types::Millis;

use super::mail::References;
use super::{Walk, counter, look_up, parsed, row_of};
use crate::key::{self, QueueCount};
use crate::{limit, row};

/// Checks all of it, and counts how often entries name which bodies.
pub(super) async fn check<R: Read>(
    read: &R,
    references: &mut References,
    findings: &mut Vec<String>,
) -> kv::Result<()> {
    let counted = entries(read, references, findings).await?;
    destinations(read, &counted, findings).await?;
    totals(read, &counted, findings).await?;
    history(read, findings).await?;
    policies(read, findings).await?;
    tls_results(read, findings).await?;
    signing(read, findings).await
}

/// What was counted over all entries.
#[derive(Debug, Default)]
struct Counted {
    entries: u64,
    held: u64,
    in_hand: usize,
    /// When the first alarm and the first end of a lease come.
    first_alarm: Option<Millis>,
    first_end: Option<Millis>,
    destinations: BTreeMap<String, Waiting>,
}

/// What was counted of a destination.
#[derive(Debug, Default)]
struct Waiting {
    entries: u64,
    /// When the first may be leased, and the first of those in bulk.
    first: [Option<Millis>; 2],
}

async fn entries<R: Read>(
    read: &R,
    references: &mut References,
    findings: &mut Vec<String>,
) -> kv::Result<Counted> {
    let mut counted = Counted::default();
    let mut last = 0;
    let mut walk = Walk::new(read, &key::queue());
    while let Some(pairs) = walk.next().await? {
        for (key, value) in pairs {
            let id = parsed(&key, key::queued_of(&key), findings);
            let row = row_of::<row::Queued>(&key, &value, findings);
            let (Some(id), Some(row)) = (id, row) else {
                continue;
            };
            last = last.max(id.0);
            counted.entries += 1;
            counted.held += u64::from(row.held);
            let waiting = counted.destinations.entry(row.destination.clone());
            let waiting = waiting.or_default();
            waiting.entries += 1;
            let ready = row.ready();
            let first = &mut waiting.first[usize::from(row.bulk)];
            *first = [*first, ready].into_iter().flatten().min();
            match row.body_id() {
                Ok(body) => *references.entry(body).or_default() += 1,
                Err(error) => findings.push(error.to_string()),
            }
            let in_hand = row.holder.is_some();
            let ready = ready.map(|moment| key::ready(&row.destination, row.bulk, moment, id));
            let (alarm, end) = (row.alarm(), row.lease_end());
            counted.in_hand += usize::from(in_hand);
            counted.first_alarm = [counted.first_alarm, alarm].into_iter().flatten().min();
            counted.first_end = [counted.first_end, end].into_iter().flatten().min();
            let alarm = alarm.map(|moment| key::alarm(moment, id));
            let end = end.map(|moment| key::lease_end(moment, id));
            let wrong = [
                (row.recipients.is_empty(), "has no recipients"),
                (row.held && in_hand, "is held and in hand at once"),
                (in_hand != (row.until > 0), "its lease has no end or holder"),
                (in_hand && row.lease == 0, "its lease has no number"),
                (
                    !in_hand && row.holder_since > 0,
                    "it has no holder, and one that began some time",
                ),
                (
                    row.leaves.is_some() && !row.list,
                    "no list sends what offers to leave one",
                ),
                (
                    row.seal.is_some() && row.sign.is_some(),
                    "is to be signed and sealed at once",
                ),
                (
                    row.seal.clone().is_some_and(|seal| seal.view().is_err()),
                    "what its seal would say is nonsense",
                ),
                (
                    !there(read, ready).await?,
                    "the index of the ready lacks it",
                ),
                (!there(read, alarm).await?, "the index of alarms lacks it"),
                (!there(read, end).await?, "the index of leases lacks it"),
            ];
            for (_, text) in wrong.iter().filter(|(wrong, _)| *wrong) {
                findings.push(format!("queued message {id}: {text}"));
            }
        }
    }
    let told: Option<row::Number> = look_up(read, &key::last_queued(), findings).await?;
    let told = told.unwrap_or_default().last;
    if last > told {
        findings.push(format!(
            "queued message {last}: its id was not given out, the last is {told}"
        ));
    }
    Ok(counted)
}

/// Whether a key that should be there is.
async fn there<R: Read>(read: &R, key: Option<Vec<u8>>) -> kv::Result<bool> {
    match key {
        Some(key) => Ok(read.get(&key).await?.is_some()),
        None => Ok(true),
    }
}

async fn destinations<R: Read>(
    read: &R,
    counted: &Counted,
    findings: &mut Vec<String>,
) -> kv::Result<()> {
    let mut turns = 0;
    let mut first_turns = [None; 2];
    let mut walk = Walk::new(read, &key::destinations());
    while let Some(pairs) = walk.next().await? {
        for (key, value) in pairs {
            let name = parsed(&key, key::destination_of(&key), findings);
            let row = row_of::<row::Destination>(&key, &value, findings);
            let (Some(name), Some(row)) = (name, row) else {
                continue;
            };
            let Some(waiting) = counted.destinations.get(&name) else {
                findings.push(format!("destination {name}: has no entries"));
                continue;
            };
            if row.entries != waiting.entries {
                findings.push(format!("destination {name}: its entries are miscounted"));
            }
            let rest = Millis(row.not_before.unwrap_or(0));
            for bulk in [false, true] {
                let first = waiting.first[usize::from(bulk)];
                let next = first.map(|first| first.max(rest));
                let first_turn = &mut first_turns[usize::from(bulk)];
                *first_turn = [*first_turn, next].into_iter().flatten().min();
                let turn = next.map(|next| key::turn(bulk, next, &name));
                turns += usize::from(next.is_some());
                let line = row.line(bulk);
                let wrong = [
                    (
                        line.map(|line| Millis(line.next)) != next,
                        "its next entry is another or none",
                    ),
                    (
                        line.map(|line| Millis(line.first)) != first,
                        "its first entry is another or none",
                    ),
                    (!there(read, turn).await?, "the index of turns lacks it"),
                ];
                for (_, text) in wrong.iter().filter(|(wrong, _)| *wrong) {
                    findings.push(format!("destination {name}: {text}"));
                }
            }
        }
    }
    // Each that is expected is there (checked above); more belong to nothing.
    let free = usize::try_from(counted.entries - counted.held).unwrap_or(usize::MAX);
    for (what, prefix, expected) in [
        (
            "destinations",
            key::destinations(),
            counted.destinations.len(),
        ),
        ("turns", key::all_turns(), turns),
        (
            "ready entries",
            key::all_ready(),
            free.saturating_sub(counted.in_hand),
        ),
        ("alarms", key::alarms(), free),
        ("leases", key::lease_ends(), counted.in_hand),
    ] {
        let listed = super::count(read, &prefix).await?;
        if listed != expected {
            findings.push(format!(
                "{expected} {what} of the queue, listed are {listed}"
            ));
        }
    }
    for name in counted.destinations.keys() {
        if read.get(&key::destination(name)).await?.is_none() {
            findings.push(format!("destination {name}: is not known"));
        }
    }
    let starts: Option<row::Starts> = look_up(read, &key::queue_starts(), findings).await?;
    let starts = starts.unwrap_or_default();
    for (what, start, first) in [
        ("alarms", starts.alarms, counted.first_alarm),
        ("leases", starts.leases, counted.first_end),
        ("turns", starts.turns, first_turns[0]),
        ("turns in bulk", starts.bulk_turns, first_turns[1]),
    ] {
        // An index may begin too early; what lies before its start is never found.
        if first.is_some_and(|first| start.is_none_or(|start| start > first.0)) {
            findings.push(format!("the queue's index of {what} begins too late"));
        }
    }
    Ok(())
}

async fn totals<R: Read>(
    read: &R,
    counted: &Counted,
    findings: &mut Vec<String>,
) -> kv::Result<()> {
    for (what, count, expected) in [
        ("entries", QueueCount::Entries, counted.entries),
        ("held", QueueCount::Held, counted.held),
        (
            "destinations",
            QueueCount::Destinations,
            counted.destinations.len() as u64,
        ),
    ] {
        let told = counter(read, &key::queue_count(count), findings).await?;
        if told != expected {
            findings.push(format!("the queue tells {told} {what}, has {expected}"));
        }
    }
    Ok(())
}

async fn history<R: Read>(read: &R, findings: &mut Vec<String>) -> kv::Result<()> {
    let mut walk = Walk::new(read, &key::history());
    while let Some(pairs) = walk.next().await? {
        for (key, value) in pairs {
            let place = parsed(&key, key::event_of(&key), findings);
            let row = row_of::<row::Event>(&key, &value, findings);
            let (Some((body, number)), Some(row)) = (place, row) else {
                continue;
            };
            if row.acceptance.is_some() != (number == 0) {
                findings.push(format!(
                    "history of {body}: line {number} is not what its number says"
                ));
            }
        }
    }
    Ok(())
}

async fn policies<R: Read>(read: &R, findings: &mut Vec<String>) -> kv::Result<()> {
    let mut policies = 0;
    let mut walk = Walk::new(read, &key::policies());
    while let Some(pairs) = walk.next().await? {
        for (key, value) in pairs {
            let domain = parsed(&key, key::domain_of(&key), findings);
            let row = row_of::<row::Policy>(&key, &value, findings);
            let (Some(domain), Some(row)) = (domain, row) else {
                continue;
            };
            policies += 1;
            let end = key::policy_end(row.expires, &domain);
            if read.get(&end).await?.is_none() {
                findings.push(format!("policy of {domain}: the index of ends lacks it"));
            }
        }
    }
    let listed = super::count(read, &key::policy_ends()).await?;
    if listed != policies {
        findings.push(format!("{policies} policies, listed are {listed}"));
    }
    Ok(())
}

async fn tls_results<R: Read>(read: &R, findings: &mut Vec<String>) -> kv::Result<()> {
    let mut walk = Walk::new(read, &key::all_tls_results());
    while let Some(pairs) = walk.next().await? {
        for (key, value) in pairs {
            let place = parsed(&key, key::tls_results_of(&key), findings);
            let row = row_of::<row::TlsResults>(&key, &value, findings);
            let (Some((day, domain)), Some(row)) = (place, row) else {
                continue;
            };
            let told = |policy: &row::TlsPolicy| -> u64 {
                policy.details.iter().map(|detail| detail.count).sum()
            };
            let details: usize = row.policies.iter().map(|it| it.details.len()).sum();
            let mut policies = row.policies.iter();
            let wrong = [
                (row.id.len() != 16, "their id is none"),
                (row.revision == 0, "they were never changed"),
                (row.policies.is_empty(), "there are none"),
                (details > limit::TLS_DETAILS, "they have too many details"),
                (
                    policies.any(|policy| told(policy) > policy.failures),
                    "they tell more failures than there were",
                ),
            ];
            for (_, text) in wrong.iter().filter(|(wrong, _)| *wrong) {
                findings.push(format!("TLS results of {domain} on day {day}: {text}"));
            }
        }
    }
    Ok(())
}

async fn signing<R: Read>(read: &R, findings: &mut Vec<String>) -> kv::Result<()> {
    let mut walk = Walk::new(read, &key::all_dkim_keys());
    while let Some(pairs) = walk.next().await? {
        for (key, value) in pairs {
            let domain = parsed(&key, key::domain_of(&key), findings);
            let row = row_of::<row::DkimKeys>(&key, &value, findings);
            let (Some(domain), Some(row)) = (domain, row) else {
                continue;
            };
            if row.keys.is_empty() {
                findings.push(format!(
                    "{domain}: signs with keys, of which there are none"
                ));
            }
            if read.get(&key::domain(&domain)).await?.is_none() {
                findings.push(format!("{domain}: signs, but is not a local domain"));
            }
        }
    }
    Ok(())
}
