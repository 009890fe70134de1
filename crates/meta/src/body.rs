//! References to bodies, and what hangs on them: when the last message or entry of
//! the queue that names a body goes, its summary and inline bytes go too, and the object that
//! held it counts less as live.

use std::collections::BTreeMap;

use bytes::Bytes;
use postrider_kv::{self as kv, Txn};
use postrider_types::{BodyId, Millis};

use crate::api::{Context, Refusal};
use crate::stop::Stop;
use crate::view::{Content, NewBody};
use crate::{key, limit, row};

/// How many references to which bodies.
#[derive(Debug, Default)]
pub(crate) struct References(BTreeMap<BodyId, u64>);

impl References {
    /// Those of `messages`.
    pub(crate) fn of<'a>(messages: impl IntoIterator<Item = &'a row::Message>) -> kv::Result<Self> {
        let mut counts = Self::default();
        for message in messages {
            counts.count(message.body_id()?);
        }
        Ok(counts)
    }

    /// One more.
    pub(crate) fn count(&mut self, id: BodyId) {
        *self.0.entry(id).or_insert(0) += 1;
    }

    /// The bodies' rows, as far as they exist, with the counts.
    async fn rows<T: Txn>(&self, txn: &T) -> kv::Result<Vec<(BodyId, u64, row::Body)>> {
        let keys: Vec<_> = self.0.keys().map(|id| key::body(*id)).collect();
        let rows = row::get_many::<row::Body>(txn, &keys).await?;
        let counts = self.0.iter().zip(rows);
        Ok(counts
            .filter_map(|((id, count), row)| row.map(|row| (*id, *count, row)))
            .collect())
    }

    /// Adds them: of bodies that are stored already.
    pub(crate) async fn add<T: Txn>(&self, txn: &mut T) -> kv::Result<()> {
        for (id, count, mut body) in self.rows(txn).await? {
            body.references += count;
            row::put(txn, key::body(id), &body);
        }
        Ok(())
    }

    /// Takes them back, and removes the bodies that nobody names any more. A
    /// body that is missing (damage, told by `check_consistency`) must not keep
    /// anyone from removing the message.
    pub(crate) async fn drop<T: Txn>(&self, txn: &mut T, now: Millis) -> kv::Result<()> {
        let mut freed: BTreeMap<String, Freed> = BTreeMap::new();
        for (id, count, mut body) in self.rows(txn).await? {
            body.references = body.references.saturating_sub(count);
            if body.references > 0 {
                row::put(txn, key::body(id), &body);
                continue;
            }
            txn.delete(key::body(id));
            txn.delete(key::summary(id));
            if body.is_inline() {
                free_inline(txn, id, &body);
            } else {
                txn.delete(key::content(&body.object, body.offset));
                freed.entry(body.object).or_default().count(body.length);
            }
        }
        for (object, freed) in freed {
            free_in_object(txn, &object, freed, now).await?;
        }
        Ok(())
    }
}

/// Removes a body's inline bytes.
pub(crate) fn free_inline(txn: &mut impl Txn, id: BodyId, body: &row::Body) {
    txn.delete(key::inline(id));
    txn.add(key::inline_usage(), -signed(body.length));
}

fn signed(length: u64) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// What an object no longer holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Freed {
    bodies: u64,
    bytes: u64,
}

impl Freed {
    /// One body more.
    pub(crate) fn count(&mut self, bytes: u64) {
        self.bodies += 1;
        self.bytes += bytes;
    }
}

/// Takes `freed` off what lives in an object.
pub(crate) async fn free_in_object<T: Txn>(
    txn: &mut T,
    object: &str,
    freed: Freed,
    now: Millis,
) -> kv::Result<()> {
    let Some(before) = row::get::<row::Object>(txn, &key::object(object)).await? else {
        return Ok(());
    };
    let mut after = before.clone();
    after.bodies = after.bodies.saturating_sub(freed.bodies);
    after.live = after.live.saturating_sub(freed.bytes);
    if after.bodies == 0 {
        after.dead_since = Some(now.0);
    }
    put_object(txn, object, Some(&before), &after);
    Ok(())
}

/// Writes an object's row and keeps the indexes of dead and half-empty ones.
pub(crate) fn put_object(
    txn: &mut impl Txn,
    object: &str,
    before: Option<&row::Object>,
    after: &row::Object,
) {
    row::put(txn, key::object(object), after);
    let was_half = before.is_some_and(row::Object::is_half_empty);
    match (was_half, after.is_half_empty()) {
        (false, true) => txn.put(key::half_empty(object), row::EMPTY),
        (true, false) => txn.delete(key::half_empty(object)),
        _ => {}
    }
    let was_dead = before.and_then(|object| object.dead_since);
    if was_dead != after.dead_since {
        if let Some(since) = was_dead {
            txn.delete(key::dead_object(Millis(since), object));
        }
        if let Some(since) = after.dead_since {
            txn.put(key::dead_object(Millis(since), object), row::EMPTY);
        }
    }
}

/// Refuses an uploaded body that the orphan sweep may be about to remove.
pub(crate) fn check_age(cx: &Context, body: &NewBody) -> Result<(), Refusal> {
    let uploaded = matches!(body.content, Content::Object { .. });
    if uploaded && cx.now.since(body.id.made_at()) > limit::UPLOAD_AGE {
        return Err(Refusal::BodyExpired);
    }
    Ok(())
}

/// Stores a new body that `references` messages and entries of the queue name.
pub(crate) async fn store<T: Txn>(
    txn: &mut T,
    cx: &Context,
    body: NewBody,
    references: u64,
) -> Result<(), Stop> {
    check_age(cx, &body)?;
    let id = body.id;
    if txn.get(&key::body(id)).await?.is_some() {
        let text = "this body was stored already: each body needs an id of its own";
        return Err(Refusal::Invalid(text.into()).into());
    }
    let mut row = row::Body {
        size: body.size,
        checksum: Bytes::copy_from_slice(&body.checksum),
        encoding: row::encoding_code(body.encoding),
        references,
        ..row::Body::default()
    };
    match body.content {
        Content::Inline(bytes) => {
            row.length = bytes.len() as u64;
            let used = row::counter(txn, &key::inline_usage()).await?;
            if used.saturating_add(row.length) > body.inline_budget {
                return Err(Refusal::InlineBudget.into());
            }
            txn.add(key::inline_usage(), signed(row.length));
            txn.put(key::inline(id), bytes);
        }
        Content::Object {
            key: object,
            length,
        } => {
            if object.is_empty() || txn.get(&key::object(&object)).await?.is_some() {
                let text = "the object's key is empty or in use: each object needs a new one";
                return Err(Refusal::Invalid(text.into()).into());
            }
            let alone = row::Object {
                length,
                live: length,
                bodies: 1,
                dead_since: None,
            };
            put_object(txn, &object, None, &alone);
            put_content(txn, &object, 0, id);
            row.length = length;
            row.object = object;
        }
    }
    row::put(txn, key::body(id), &row);
    txn.put(key::summary(id), body.summary);
    Ok(())
}

/// Notes that a body lives in an object.
pub(crate) fn put_content(txn: &mut impl Txn, object: &str, offset: u64, id: BodyId) {
    let body = Bytes::copy_from_slice(id.as_bytes());
    row::put(txn, key::content(object, offset), &row::Content { body });
}
