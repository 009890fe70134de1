//! Makes sure at the start that metadata and object store belong together: that
//! no folder is missing, mistyped or somebody else's.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use postrider_body::Bodies;
use tokio_util::sync::CancellationToken;

use crate::dir;

/// The id with which the store is claimed, kept until that is done.
const CLAIM: &str = "store.claim";
/// How long a start waits for a store that it knows.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Between looks whether a store that was away at the start is the right one.
const AGAIN: Duration = Duration::from_secs(5);

/// Why the node must end: set once the store turns out to be the wrong one.
pub(crate) type Wrong = Arc<OnceLock<String>>;

/// Claims the object store for metadata that have none yet: those of a node that
/// stands alone, or that is about to found a cluster. Other nodes of a cluster
/// find it claimed.
pub(crate) async fn claim(bodies: &Bodies, data_dir: &Path) -> anyhow::Result<()> {
    let claim = data_dir.join(CLAIM);
    if bodies.store_id().await?.is_none() {
        let id = match fs::read_to_string(&claim) {
            Ok(id) => id.trim().to_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let id = bodies.new_store_id();
                dir::replace(&claim, format!("{id}\n").as_bytes())?;
                id
            }
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", claim.display())),
        };
        bodies
            .claim_store(&id)
            .await
            .context("the first start needs the object store")?;
    }
    Ok(())
}

/// Whether a claim was begun here.
pub(crate) fn claims(data_dir: &Path) -> bool {
    data_dir.join(CLAIM).exists()
}

/// Gives up a claim that was refused.
pub(crate) fn forget_claim(data_dir: &Path) {
    // One that stays is harmless: it is tried again, and refused again.
    let _ = fs::remove_file(data_dir.join(CLAIM));
}

/// Makes sure that the object store is the one that belongs to the metadata.
/// False where it does not answer: then [`watch`] it.
pub(crate) async fn verify(bodies: &Bodies, data_dir: &Path) -> anyhow::Result<bool> {
    let claim = data_dir.join(CLAIM);
    let verified = tokio::time::timeout(ANSWER_TIMEOUT, bodies.verify_store()).await;
    let reason = match verified {
        Ok(Ok(())) => {
            forget(&claim)?;
            return Ok(true);
        }
        Ok(Err(error)) if !error.is_transient() => return Err(error.into()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {ANSWER_TIMEOUT:?}"),
    };
    tracing::warn!(
        reason,
        "the object store is away: whether it is this node's is seen when it is back"
    );
    Ok(false)
}

/// An id that waits for its claim must not pass for one later.
fn forget(claim: &Path) -> anyhow::Result<()> {
    match fs::remove_file(claim) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", claim.display()))
        }
        _ => Ok(()),
    }
}

/// Looks at a store that was away until it answers; tells `wrong` if it is not
/// the right one.
pub(crate) async fn watch(bodies: Bodies, wrong: Wrong, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
        match bodies.verify_store().await {
            Ok(()) => return,
            Err(error) if error.is_transient() => {}
            Err(error) => {
                let _ = wrong.set(error.to_string());
                return;
            }
        }
    }
}
