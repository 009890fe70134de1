//! Write-once objects: streaming put, range reads, a bounded cache.
