//! Rows: what lies under the keys. Each value is one version byte and a
//! protobuf message; readers take the present version and the one before it.
//! Fields are only ever added; a tag is never used again for something else.

mod account;
mod body;
mod cluster;
mod destination;
mod directory;
mod dkim;
mod event;
mod mailbox;
mod message;
mod queue;
mod tls;

use bytes::Bytes;
use postrider_kv::{self as kv, Range, Read, Txn};
use prost::Message as Proto;

pub(crate) use account::{Account, Counters, Credentials};
pub(crate) use body::{Body, Content, Object, StoreName, encoding_code};
pub(crate) use cluster::{Cluster, ClusterVersion, Lease, Node, Secret, Token, role_words};
pub(crate) use destination::{Destination, Line, Starts};
pub(crate) use directory::{
    AccountName, Alias, DefaultMailbox, DefaultMailboxes, Domain, Group, Holder, Name, Number,
    Relay,
};
pub(crate) use dkim::DkimKeys;
pub(crate) use event::{Acceptance, Accepted, Event};
pub(crate) use mailbox::{Mailbox, MailboxName, special_use, special_use_code};
pub(crate) use message::{Changed, Message, Vanished, body_id};
pub(crate) use queue::{Policy, Queued, Recipient, Seal, return_code};
pub(crate) use tls::{TlsDetail, TlsPolicy, TlsResults};

/// The version that is written.
pub(crate) const VERSION: u8 = 1;

/// The value of a key that says everything by itself.
pub(crate) const EMPTY: Bytes = Bytes::from_static(&[VERSION]);

/// `row` as a value.
pub(crate) fn encode<M: Proto>(row: &M) -> Bytes {
    let mut value = Vec::with_capacity(1 + row.encoded_len());
    value.push(VERSION);
    row.encode(&mut value)
        .expect("a vector grows as it is written");
    value.into()
}

/// The row in `value`, which lies under `key`. Bytes fields share its memory.
pub(crate) fn decode<M: Proto + Default>(key: &[u8], value: &Bytes) -> kv::Result<M> {
    let damaged = |reason: String| kv::Error::Value {
        key: kv::key::escape(key),
        reason,
    };
    match value.first() {
        // The first version has none before it.
        Some(&VERSION) => {}
        Some(other) => {
            return Err(damaged(format!(
                "version {other}; this program reads version {VERSION}"
            )));
        }
        None => return Err(damaged("the value is empty".into())),
    }
    M::decode(value.slice(1..)).map_err(|error| damaged(error.to_string()))
}

/// An error about a key that does not look like its table's keys.
pub(crate) fn bad_key(key: &[u8]) -> kv::Error {
    kv::Error::Value {
        key: kv::key::escape(key),
        reason: "the key is damaged".into(),
    }
}

/// The row under `key`.
pub(crate) async fn get<M: Proto + Default>(read: &impl Read, key: &[u8]) -> kv::Result<Option<M>> {
    match read.get(key).await? {
        Some(value) => decode(key, &value).map(Some),
        None => Ok(None),
    }
}

/// The rows under `keys`, in their order.
pub(crate) async fn get_many<M: Proto + Default>(
    read: &impl Read,
    keys: &[Vec<u8>],
) -> kv::Result<Vec<Option<M>>> {
    let values = read.get_many(keys).await?;
    keys.iter()
        .zip(values)
        .map(|(key, value)| value.map(|value| decode(key, &value)).transpose())
        .collect()
}

/// The rows of `range`, each with its key.
pub(crate) async fn range<M: Proto + Default>(
    read: &impl Read,
    range: Range,
) -> kv::Result<Vec<(Bytes, M)>> {
    let pairs = read.range(range).await?;
    pairs
        .into_iter()
        .map(|(key, value)| decode(&key, &value).map(|row| (key, row)))
        .collect()
}

/// Sets `key` to `row`.
pub(crate) fn put<M: Proto>(txn: &mut impl Txn, key: Vec<u8>, row: &M) {
    txn.put(key, encode(row));
}

/// The value of the counter under `key`; zero where there is none.
pub(crate) async fn counter(read: &impl Read, key: &[u8]) -> kv::Result<u64> {
    let Some(value) = read.get(key).await? else {
        return Ok(0);
    };
    let bytes = value.as_ref().try_into().map_err(|_| kv::Error::Value {
        key: kv::key::escape(key),
        reason: "a counter has 8 bytes".into(),
    })?;
    Ok(u64::try_from(i64::from_le_bytes(bytes)).unwrap_or(0))
}

/// The next number out of the row [`Number`] under `key`: 1 the first time.
pub(crate) async fn next_number(txn: &mut impl Txn, key: Vec<u8>) -> kv::Result<u64> {
    let last: Number = get(txn, &key).await?.unwrap_or_default();
    let next = Number {
        last: last.last + 1,
    };
    put(txn, key, &next);
    Ok(next.last)
}
