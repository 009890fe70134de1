//! Registers: single small objects that change by compare and set, unlike all
//! others. Whoever writes one names the version that it has read; the store
//! refuses where another was faster. Relies on conditional PUTs, which not every
//! store has, and some only seem to have: [`Store::check_registers`] finds out.
//!
//! Nothing is tried again here: how a write ended may be unknown, and only its
//! caller can tell by what is there then.

use std::time::Duration;

use bytes::Bytes;
use object_store::{PutMode, PutOptions, PutPayload, UpdateVersion};
use tokio::time::Instant;

use crate::request::{Op, attempt};
use crate::{Error, Store};

/// Two writers race this often before the store is believed: a store that only
/// looks before it writes lets both through now and then.
const RACES: usize = 12;

/// The version of a register, as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

impl Store {
    /// What the register `key` holds, and its version; None where there is none.
    pub async fn read_register(
        &self,
        key: &str,
        limit: Duration,
    ) -> Result<Option<(Bytes, Version)>, Error> {
        let path = self.backend.path(key)?;
        let request = async {
            let found = self.backend.objects.get_opts(&path, Default::default());
            let found = found.await?;
            let tag = found.meta.e_tag.clone();
            Ok((found.bytes().await?, tag))
        };
        match attempt(limit, Instant::now() + limit, Op::Get, key, request).await {
            Ok((bytes, tag)) => Ok(Some((bytes, version(tag)?))),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the register `key` over the version `over`, or makes it where that
    /// is None; durable on return. Its new version.
    ///
    /// [`Error::Exists`]: another was faster, nothing was written.
    /// [`Error::Unavailable`]: nobody knows whether it was.
    pub async fn write_register(
        &self,
        key: &str,
        value: Bytes,
        over: Option<&Version>,
        limit: Duration,
    ) -> Result<Version, Error> {
        let path = self.backend.path(key)?;
        let mode = match over {
            None => PutMode::Create,
            Some(Version(tag)) => PutMode::Update(UpdateVersion {
                e_tag: Some(tag.clone()),
                version: None,
            }),
        };
        let options = PutOptions {
            mode,
            ..PutOptions::default()
        };
        let payload = PutPayload::from_bytes(value);
        let request = self.backend.objects.put_opts(&path, payload, options);
        match attempt(limit, Instant::now() + limit, Op::Put, key, request).await {
            Ok(put) => version(put.e_tag),
            // Some stores call an update of what is gone a 404.
            Err(Error::NotFound(_)) if over.is_some() => Err(Error::Exists(key.into())),
            Err(error) => Err(error),
        }
    }

    /// Finds out whether the store can be trusted with registers, by trying: a key
    /// made twice, a write over an old version, and races of two writers. How long
    /// a write took, half of them less.
    ///
    /// [`Error::Invalid`]: it cannot, with what it did wrong.
    pub async fn check_registers(&self, limit: Duration) -> Result<Duration, Error> {
        let mut keys = Vec::new();
        let checked = self.try_registers(limit, &mut keys).await;
        for key in keys {
            // What is left is small and of no use to anybody.
            let _ = self.delete(&key).await;
        }
        checked
    }

    async fn try_registers(
        &self,
        limit: Duration,
        keys: &mut Vec<String>,
    ) -> Result<Duration, Error> {
        let write = |key: String, value: &'static str, over: Option<Version>| async move {
            let began = Instant::now();
            let value = Bytes::from_static(value.as_bytes());
            let written = self
                .write_register(&key, value, over.as_ref(), limit)
                .await?;
            Ok((written, began.elapsed()))
        };
        let key = fresh(keys);
        let (first, took) = write(key.clone(), "first", None).await?;
        let mut times = vec![took];
        refused(
            write(key.clone(), "twice", None).await,
            "makes a key that is there again",
        )?;
        let (_, took) = write(key.clone(), "second", Some(first.clone())).await?;
        times.push(took);
        refused(
            write(key.clone(), "stale", Some(first)).await,
            "writes over a version that is no more",
        )?;
        self.holds(&key, Some("second"), limit).await?;
        for _ in 0..RACES {
            let key = fresh(keys);
            let (one, other) = tokio::join!(
                write(key.clone(), "one", None),
                write(key.clone(), "other", None)
            );
            let won = winner([("one", one), ("other", other)], &mut times)?;
            let (_, version) = self.holds(&key, won, limit).await?;
            let (one, other) = tokio::join!(
                write(key.clone(), "third", Some(version.clone())),
                write(key.clone(), "fourth", Some(version))
            );
            let won = winner([("third", one), ("fourth", other)], &mut times)?;
            self.holds(&key, won, limit).await?;
        }
        times.sort_unstable();
        Ok(times[times.len() / 2])
    }

    /// That the register holds `value`; whatever it is where none is known.
    async fn holds(
        &self,
        key: &str,
        value: Option<&str>,
        limit: Duration,
    ) -> Result<(Bytes, Version), Error> {
        let found = self.read_register(key, limit).await?;
        let found = found.ok_or_else(|| broken("forgets what it has taken"))?;
        match value.is_none_or(|value| value.as_bytes() == found.0) {
            true => Ok(found),
            false => Err(broken("keeps what it has refused")),
        }
    }
}

type Written = Result<(Version, Duration), Error>;

/// Who won a race, where that is known; never both.
fn winner(
    racers: [(&'static str, Written); 2],
    times: &mut Vec<Duration>,
) -> Result<Option<&'static str>, Error> {
    let mut won = Vec::new();
    let mut unheard = false;
    for (name, written) in racers {
        match written {
            Ok((_, took)) => {
                won.push(name);
                times.push(took);
            }
            Err(Error::Exists(_)) => {}
            // It may have won.
            Err(Error::Unavailable(_)) => unheard = true,
            Err(error) => return Err(error),
        }
    }
    match won[..] {
        [_, _] => Err(broken("lets two writers of one version through")),
        [one] if !unheard => Ok(Some(one)),
        _ => Ok(None),
    }
}

fn refused(written: Written, what: &str) -> Result<(), Error> {
    match written {
        Err(Error::Exists(_)) => Ok(()),
        Ok(_) => Err(broken(what)),
        Err(error) => Err(error),
    }
}

fn fresh(keys: &mut Vec<String>) -> String {
    let key = format!("probe/register-{:016x}", rand::random::<u64>());
    keys.push(key.clone());
    key
}

fn version(tag: Option<String>) -> Result<Version, Error> {
    let tag = tag.filter(|tag| !tag.is_empty());
    tag.map(Version)
        .ok_or_else(|| broken("names no version (ETag) of what it takes"))
}

fn broken(what: &str) -> Error {
    Error::Invalid(format!(
        "the object store has no conditional PUT that can be relied on: it {what}"
    ))
}

#[cfg(test)]
mod tests;
