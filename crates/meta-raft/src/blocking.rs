//! Work that blocks (disk, evaluation), kept off the runtime's threads.
//!
//! On a current-thread runtime it runs in place instead: nothing else could go
//! on there anyway at the same moment, and a simulation in virtual time, which
//! such a runtime drives, stays on one thread and so repeatable. All blocking
//! work of this crate goes through here.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{JoinError, spawn_blocking};

/// Runs `work` to its end, even if the caller goes away meanwhile. Fails if it
/// panicked or the runtime ends; in place, a panic is the caller's.
pub(crate) async fn run<T, F>(work: F) -> Result<T, JoinError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if in_place() {
        return Ok(work());
    }
    spawn_blocking(work).await
}

/// Whether this runtime has but one thread. Outside of any: no.
pub(crate) fn in_place() -> bool {
    Handle::try_current().is_ok_and(|it| it.runtime_flavor() == RuntimeFlavor::CurrentThread)
}

/// What it means to the caller that `what` did not come to its end: that it
/// panicked, or that the node is ending, and another may do it.
pub(crate) fn broken_off(what: &str, error: &JoinError) -> postrider_meta::Error {
    let text = format!("{what} broke off: {error}");
    match error.is_panic() {
        true => postrider_meta::Error::Failed(text),
        false => postrider_meta::Error::Unavailable(text),
    }
}
