//! [`Seals`]: what a forwarded message is sealed with (ARC, RFC 8617). To judge it
//! the whole message is held, which is bounded here per message and per node.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use metrics::counter;
use postrider_arc::{Arrival, Judge, Verdict};
use postrider_dkim::Sealer;
use postrider_meta::{QueuedView, Seal};
use tokio::sync::Semaphore;

use crate::courier::{Handles, Shared};
use crate::prepare::{next, open};
use crate::settings::Settings;
use crate::trouble::Trouble;

/// The largest message that is sealed.
const MOST: u64 = 32 << 20;
/// What all messages that are being judged may hold together, in KiB.
const MEMORY: u32 = 64 << 10;
/// After so many attempts a chain that cannot be checked for the DNS's sake keeps
/// its message no longer: that leaves without a set.
const PATIENCE: u32 = 5;

/// Judges what is forwarded.
pub(crate) struct Seals {
    judge: Judge,
    memory: Arc<Semaphore>,
}

impl Seals {
    pub(crate) fn new(handles: &Handles, settings: &Settings) -> Result<Self, String> {
        let judge = Judge::new(&settings.dns, &handles.hostname);
        Ok(Self {
            judge: judge.map_err(|error| error.to_string())?,
            memory: Arc::new(Semaphore::new(MEMORY as usize)),
        })
    }
}

/// A function that makes the sealers of an entry, one for each reading.
pub(crate) type MakeSealer = Box<dyn Fn() -> Option<Sealer> + Send + Sync>;

/// Judges an entry as it came; None where it leaves without a set.
pub(crate) async fn sealer(
    shared: &Shared,
    entry: &QueuedView,
) -> Result<Option<MakeSealer>, Trouble> {
    let Some(seal) = &entry.seal else {
        return Ok(None);
    };
    let key = shared.signing.sealing_key(&seal.domain).await;
    let Some(key) = key.map_err(|error| crate::prepare::no_keys(&error))? else {
        tracing::debug!(id = %entry.body, domain = %seal.domain, "there is no RSA key to seal with");
        return Ok(unsealed("key"));
    };
    if entry.size > MOST {
        tracing::info!(id = %entry.body, size = entry.size, "the message is too large to be sealed");
        return Ok(unsealed("size"));
    }
    match judge(shared, entry, seal).await? {
        Verdict::Leave(reason) => {
            tracing::debug!(id = %entry.body, reason, "a message is forwarded without a new seal");
            Ok(unsealed("chain"))
        }
        // RFC 8617 does not know a chain that cannot be checked for now: to call it
        // failed would break it for all who come after.
        Verdict::Later(reason) if entry.attempts < PATIENCE => {
            let text = format!("the ARC chain cannot be checked yet: {reason}");
            Err(Trouble::ours((4, 4, 3), text))
        }
        Verdict::Later(reason) => {
            tracing::info!(id = %entry.body, reason, "a message is forwarded without a new seal");
            Ok(unsealed("dns"))
        }
        Verdict::Seal(judged) => {
            let (domain, now) = (seal.domain.clone(), shared.handles.meta.clock().now());
            Ok(Some(Box::new(move || {
                let (domain, key, chain) = (domain.clone(), key.clone(), judged.chain.clone());
                let results = judged.results.clone();
                Sealer::new(domain, key, now, judged.instance, chain, results)
            })))
        }
    }
}

/// Counts a message that is forwarded without a set of ours, for this reason.
pub(crate) fn unsealed(reason: &'static str) -> Option<MakeSealer> {
    counter!("postrider_queue_arc_unsealed_total", "reason" => reason).increment(1);
    None
}

async fn judge(shared: &Shared, entry: &QueuedView, seal: &Seal) -> Result<Verdict, Trouble> {
    let kib = u32::try_from(entry.size.div_ceil(1024)).unwrap_or(MEMORY);
    let memory = shared.seals.memory.acquire_many(kib.clamp(1, MEMORY)).await;
    let _memory = memory.expect("the semaphore is never closed");
    let mut whole = BytesMut::new();
    let mut body = open(shared, entry).await?;
    while let Some(piece) = next(&mut body).await? {
        whole.extend_from_slice(&piece);
    }
    let arrival = Arrival {
        client: seal.client,
        helo: seal.helo.clone(),
        sender: seal.came_from.clone(),
    };
    let whole: Bytes = whole.freeze();
    Ok(shared.seals.judge.judge(whole, arrival).await)
}
