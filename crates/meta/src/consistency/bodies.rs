//! Bodies, the bytes kept inline, and the objects.

use std::collections::BTreeMap;

use postrider_kv::{self as kv, Read};
use postrider_types::{BodyId, Millis};

use super::mail::References;
use super::{Walk, count, counter, look_up, parsed, row_of};
use crate::{key, row};

/// Checks all bodies against how often messages and entries of the queue name them.
pub(super) async fn check<R: Read>(
    read: &R,
    mut references: References,
    findings: &mut Vec<String>,
) -> kv::Result<()> {
    let mut objects: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
    let (mut bodies, mut inline, mut inline_bytes) = (0, 0, 0);
    let mut walk = Walk::new(read, &key::bodies());
    while let Some(pairs) = walk.next().await? {
        for (key, value) in pairs {
            let id = parsed(&key, key::body_of(&key), findings);
            let row = row_of::<row::Body>(&key, &value, findings);
            let (Some(id), Some(row)) = (id, row) else {
                continue;
            };
            bodies += 1;
            let counted = references.remove(&id).unwrap_or_default();
            if row.references != counted {
                let told = row.references;
                findings.push(format!(
                    "body {id}: tells {told} references, {counted} name it"
                ));
            }
            if read.get(&key::summary(id)).await?.is_none() {
                findings.push(format!("body {id}: has no summary"));
            }
            let bytes = read.get(&key::inline(id)).await?;
            let length = bytes.map(|bytes| bytes.len() as u64);
            if row.is_inline() {
                inline += 1;
                inline_bytes += row.length;
            }
            if length != row.is_inline().then_some(row.length) {
                findings.push(format!("body {id}: its inline bytes are wrong: {length:?}"));
            }
            if !row.is_inline() {
                placed(read, id, &row, findings).await?;
                let extents = objects.entry(row.object).or_default();
                extents.push((row.offset, row.length));
            }
        }
    }
    for (id, count) in references {
        findings.push(format!(
            "{count} references name the body {id}, which is missing"
        ));
    }
    let summaries = count(read, &key::summaries()).await?;
    let inlines = count(read, &key::inlines()).await?;
    let contents = count(read, &key::all_contents()).await?;
    let in_objects: usize = objects.values().map(Vec::len).sum();
    if (summaries, inlines, contents) != (bodies, inline, in_objects) {
        findings.push(format!(
            "(bodies, inline, in objects) are {:?}, but (summaries, inline bytes, contents) {:?}",
            (bodies, inline, in_objects),
            (summaries, inlines, contents)
        ));
    }
    let told = counter(read, &key::inline_usage(), findings).await?;
    if told != inline_bytes {
        findings.push(format!("tells {told} inline bytes, has {inline_bytes}"));
    }
    check_objects(read, objects, findings).await
}

async fn placed<R: Read>(
    read: &R,
    id: BodyId,
    row: &row::Body,
    findings: &mut Vec<String>,
) -> kv::Result<()> {
    let content = key::content(&row.object, row.offset);
    let content: Option<row::Content> = look_up(read, &content, findings).await?;
    let points = content.is_some_and(|content| content.body.as_ref() == id.as_bytes());
    if !points {
        findings.push(format!("body {id}: the index of {} lacks it", row.object));
    }
    Ok(())
}

async fn check_objects<R: Read>(
    read: &R,
    mut objects: BTreeMap<String, Vec<(u64, u64)>>,
    findings: &mut Vec<String>,
) -> kv::Result<()> {
    let (mut dead, mut half) = (0, 0);
    let mut walk = Walk::new(read, &key::objects());
    while let Some(pairs) = walk.next().await? {
        for (key, value) in pairs {
            let name = parsed(&key, key::object_of(&key), findings);
            let row = row_of::<row::Object>(&key, &value, findings);
            let (Some(name), Some(row)) = (name, row) else {
                continue;
            };
            let mut extents = objects.remove(&name).unwrap_or_default();
            extents.sort_unstable();
            let live: u64 = extents.iter().map(|(_, length)| length).sum();
            let apart = extents.windows(2).all(|w| w[0].0 + w[0].1 <= w[1].0);
            let within = extents.iter().all(|(o, l)| o + l <= row.length);
            let wrong = [
                (row.live != live, "its live bytes are miscounted"),
                (
                    row.bodies != extents.len() as u64,
                    "its bodies are miscounted",
                ),
                (
                    row.dead_since.is_some() != extents.is_empty(),
                    "dead and alive at once",
                ),
                (!apart || !within, "bodies overlap or lie outside"),
            ];
            for (_, text) in wrong.iter().filter(|(wrong, _)| *wrong) {
                findings.push(format!("object {name}: {text}"));
            }
            if let Some(since) = row.dead_since {
                dead += 1;
                let index = key::dead_object(Millis(since), &name);
                if read.get(&index).await?.is_none() {
                    findings.push(format!("object {name}: the index of the dead lacks it"));
                }
            }
            if row.is_half_empty() {
                half += 1;
                if read.get(&key::half_empty(&name)).await?.is_none() {
                    findings.push(format!(
                        "object {name}: the index of half-empty ones lacks it"
                    ));
                }
            }
        }
    }
    for name in objects.into_keys() {
        findings.push(format!(
            "bodies lie in the object {name}, which is not known"
        ));
    }
    let listed = (
        count(read, &key::dead_objects()).await?,
        count(read, &key::half_empties()).await?,
    );
    if listed != (dead, half) {
        findings.push(format!(
            "(dead, half-empty) objects are {:?}, listed are {listed:?}",
            (dead, half)
        ));
    }
    Ok(())
}
