//! Walks the whole store and tells every invariant that does not hold. Run
//! after tests, after chaos, and by hand; changes nothing. Holds the counts of
//! all bodies in memory while it walks.

mod bodies;
mod cluster;
mod directory;
mod mail;
mod queue;

use bytes::Bytes;
use postrider_kv::{self as kv, Range, Read};
use prost::Message as Proto;

use crate::row;

/// Everything that is wrong with the store behind `read`; empty means fine.
/// Texts name the account, mailbox, UID, body or object.
pub async fn check_consistency<R: Read>(read: &R) -> kv::Result<Vec<String>> {
    let mut findings = Vec::new();
    let accounts = directory::check(read, &mut findings).await?;
    let mut references = mail::check(read, &accounts, &mut findings).await?;
    queue::check(read, &mut references, &mut findings).await?;
    bodies::check(read, references, &mut findings).await?;
    cluster::check(read, &mut findings).await?;
    Ok(findings)
}

/// Rows are read in pieces of this many.
const PIECE: usize = 1_000;

/// All pairs whose keys begin with a prefix, piece by piece.
struct Walk<'a, R> {
    read: &'a R,
    range: Range,
    done: bool,
}

impl<'a, R: Read> Walk<'a, R> {
    fn new(read: &'a R, prefix: &[u8]) -> Self {
        Self {
            read,
            range: Range::prefix(prefix, PIECE),
            done: false,
        }
    }

    /// The next piece; None at the end.
    async fn next(&mut self) -> kv::Result<Option<Vec<(Bytes, Bytes)>>> {
        if self.done {
            return Ok(None);
        }
        let pairs = self.read.range(self.range.clone()).await?;
        match pairs.last() {
            Some((last, _)) => self.range = self.range.clone().after(last),
            None => return Ok(None),
        }
        self.done = pairs.len() < PIECE;
        Ok(Some(pairs))
    }
}

/// How many keys begin with `prefix`.
async fn count<R: Read>(read: &R, prefix: &[u8]) -> kv::Result<usize> {
    let mut count = 0;
    let mut walk = Walk::new(read, prefix);
    while let Some(pairs) = walk.next().await? {
        count += pairs.len();
    }
    Ok(count)
}

/// The row in a pair; one that cannot be read becomes a finding.
fn row_of<M: Proto + Default>(key: &[u8], value: &Bytes, findings: &mut Vec<String>) -> Option<M> {
    match row::decode(key, value) {
        Ok(row) => Some(row),
        Err(error) => {
            findings.push(error.to_string());
            None
        }
    }
}

/// The row under `key`; one that cannot be read becomes a finding.
async fn look_up<R: Read, M: Proto + Default>(
    read: &R,
    key: &[u8],
    findings: &mut Vec<String>,
) -> kv::Result<Option<M>> {
    let value = read.get(key).await?;
    Ok(value.and_then(|value| row_of(key, &value, findings)))
}

/// The value of a counter; one that cannot be read becomes a finding.
async fn counter<R: Read>(read: &R, key: &[u8], findings: &mut Vec<String>) -> kv::Result<u64> {
    match row::counter(read, key).await {
        Err(error @ kv::Error::Value { .. }) => {
            findings.push(error.to_string());
            Ok(0)
        }
        other => other,
    }
}

/// What a parser says about a key; one that cannot be read becomes a finding.
fn parsed<T>(key: &[u8], parsed: Option<T>, findings: &mut Vec<String>) -> Option<T> {
    if parsed.is_none() {
        findings.push(format!("damaged key {}", kv::key::escape(key)));
    }
    parsed
}

#[cfg(test)]
mod tests;
