//! Write-once objects: streaming put, range reads, a bounded cache.

/// The object store.
pub struct Store {}
