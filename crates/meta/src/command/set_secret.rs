//! Keeps the secret that all nodes share.

use std::fmt;

use bytes::Bytes;
use postrider_kv::Txn;
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::stop::Stop;
use crate::{key, row};

/// Keeps the secret from which all nodes derive keys for what they hand out and
/// must know again. Set once: whoever comes later is answered without an effect,
/// and asks for the one that is there.
#[derive(Clone, Serialize, Deserialize)]
pub struct SetSecret {
    /// 32 random bytes.
    pub secret: Bytes,
}

impl fmt::Debug for SetSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetSecret").finish_non_exhaustive()
    }
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: SetSecret,
) -> Result<(), Stop> {
    if command.secret.len() != 32 {
        return Err(Refusal::Invalid("a secret has 32 bytes".into()).into());
    }
    if txn.get(&key::secret()).await?.is_none() {
        let row = row::Secret {
            secret: command.secret,
        };
        row::put(txn, key::secret(), &row);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::memory::Memory;
    use crate::testing::{CountingRandom, ManualClock};
    use crate::{Client, ReadAt, query};

    #[tokio::test]
    async fn the_first_secret_stays() {
        let clock = ManualClock::new();
        let memory = Memory::new(clock.clone());
        let random = Arc::new(CountingRandom::default());
        let client = Client::new(memory.clone(), clock, random);
        let told = async || {
            client
                .ask(query::Secret {}, ReadAt::Latest)
                .await
                .unwrap()
                .0
        };
        let set = async |bytes: Vec<u8>| {
            let secret = Bytes::from(bytes);
            client.run(SetSecret { secret }).await.unwrap().0
        };
        assert_eq!(told().await, None);
        assert!(matches!(set(vec![1; 31]).await, Err(Refusal::Invalid(_))));
        for byte in [1, 2] {
            set(vec![byte; 32]).await.unwrap();
        }
        assert_eq!(told().await, Some(Bytes::from(vec![1; 32])));
        let shown = format!(
            "{:?}",
            SetSecret {
                secret: Bytes::from(vec![77; 32])
            }
        );
        assert!(!shown.contains("77") && !shown.contains('M'), "{shown}");
        assert!(memory.check_consistency().await.unwrap().is_empty());
    }
}
