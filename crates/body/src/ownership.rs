//! Whose object store it is: the object `store/id` holds an id that the metadata
//! knows as well. Made once, together.
//!
//! To metadata that is empty or somebody else's, every object looks like an
//! orphan. So where the two ids differ, nothing is removed, and no node starts.

use postrider_blob::Error as BlobError;
use postrider_meta::{ReadAt, command::NameStore, query};

use crate::bodies::{Bodies, Shared};

/// The object with the id.
const OBJECT: &str = "store/id";

/// The digits of an id: 128 bits, hexadecimal.
const DIGITS: usize = 32;

/// Why the object store is not, or not known to be, the metadata's.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OwnershipError {
    /// It is another's.
    #[error(
        "the object store belongs to another Postrider store: its object store/id says {found}, \
         the metadata {}. Nothing was changed. Is the folder with the metadata (data_dir, \
         meta.dir) mounted and spelled right? Does blob name this store's own folder, or bucket \
         and prefix? A new installation needs an empty one",
        .expected.as_deref().unwrap_or("is new and knows no id")
    )]
    Foreign {
        /// What the object says.
        found: String,
        /// What the metadata says; None if that is new.
        expected: Option<String>,
    },
    /// It has no id, but the metadata has one.
    #[error(
        "the object store is not the one that the metadata belongs to: the object store/id, which \
         says {expected}, is missing. Nothing was changed. Is the folder mounted? Does blob name \
         the same folder, or bucket and prefix, as before? If it was restored from a copy that \
         lacks this object, put it there: these 32 characters"
    )]
    Missing {
        /// What the metadata says.
        expected: String,
    },
    /// The metadata has no id yet: call [`Bodies::claim_store`].
    #[error("the metadata belongs to no object store yet")]
    Unclaimed,
    /// One of the two does not answer: nothing is known.
    #[error("{0}")]
    Unavailable(String),
}

impl OwnershipError {
    /// Whether asking again may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<postrider_meta::Error> for OwnershipError {
    fn from(error: postrider_meta::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<BlobError> for OwnershipError {
    fn from(error: BlobError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl Bodies {
    /// The id of the object store that belongs to the metadata; None before
    /// [`Bodies::claim_store`].
    pub async fn store_id(&self) -> Result<Option<String>, OwnershipError> {
        self.shared.store_id().await
    }

    /// A random id for [`Bodies::claim_store`].
    pub fn new_store_id(&self) -> String {
        let mut id = [0; DIGITS / 2];
        self.shared.meta.random().fill(&mut id);
        format!("{:032x}", u128::from_be_bytes(id))
    }

    /// Makes the object store the metadata's, for metadata that has none. `id` is
    /// one of [`Bodies::new_store_id`], kept until this succeeds: called again with
    /// the same one after an interruption it goes on.
    pub async fn claim_store(&self, id: &str) -> Result<(), OwnershipError> {
        let shared = &self.shared;
        if shared.named().await?.is_none() {
            match shared
                .blobs
                .create(OBJECT, vec![id.to_owned().into()])
                .await
            {
                // Whose it is, the next look tells: it may be an earlier attempt's.
                Ok(()) | Err(BlobError::Exists(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let found = shared.named().await?;
        if found.as_deref() == Some(id) {
            let name = NameStore { id: id.to_owned() };
            // A refusal: another node of this cluster was quicker.
            let _ = shared.meta.run(name).await?.0;
        }
        match (shared.store_id().await?, found) {
            (Some(expected), Some(found)) if expected == found => Ok(()),
            (expected, Some(found)) => Err(OwnershipError::Foreign { found, expected }),
            (Some(expected), None) => Err(OwnershipError::Missing { expected }),
            (None, None) => Err(OwnershipError::Unavailable(
                "the object store loses what was put: store/id is not there".into(),
            )),
        }
    }

    /// Makes the object store that of metadata that were recovered from it: from now
    /// on it is no other's, and whoever had it before neither starts nor removes
    /// anything.
    pub async fn take_store(&self) -> Result<(), OwnershipError> {
        let shared = &self.shared;
        let id = shared.store_id().await?.ok_or(OwnershipError::Unclaimed)?;
        shared.blobs.put(OBJECT, vec![id.into()]).await?;
        shared.verify_store().await
    }

    /// Makes sure that the object store is the metadata's.
    pub async fn verify_store(&self) -> Result<(), OwnershipError> {
        self.shared.verify_store().await
    }
}

impl Shared {
    /// As [`Bodies::verify_store`].
    pub(crate) async fn verify_store(&self) -> Result<(), OwnershipError> {
        let expected = self.store_id().await?.ok_or(OwnershipError::Unclaimed)?;
        match self.named().await? {
            Some(found) if found == expected => Ok(()),
            Some(found) => Err(OwnershipError::Foreign {
                found,
                expected: Some(expected),
            }),
            None => Err(OwnershipError::Missing { expected }),
        }
    }

    /// What the metadata says.
    async fn store_id(&self) -> Result<Option<String>, OwnershipError> {
        Ok(self.meta.ask(query::StoreId {}, ReadAt::Latest).await?.0)
    }

    /// What the object store says, asked past the cache.
    async fn named(&self) -> Result<Option<String>, OwnershipError> {
        let read = self.blobs.get_once(OBJECT, 0..DIGITS as u64);
        match read.await {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(BlobError::NotFound(_)) => Ok(None),
            Err(BlobError::Short(_)) => Ok(Some("something too short".into())),
            Err(error) => Err(error.into()),
        }
    }
}
