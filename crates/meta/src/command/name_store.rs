//! Records which object store belongs to this metadata.

use postrider_kv::Txn;
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::stop::Stop;
use crate::{key, row};

/// Records the id of the object store that belongs to this metadata. Set once:
/// another id is refused ever after.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NameStore {
    /// The id: 32 hexadecimal digits.
    pub id: String,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: NameStore,
) -> Result<(), Stop> {
    let id = command.id;
    check(&id)?;
    match row::get::<row::StoreName>(txn, &key::store_name()).await? {
        Some(present) if present.id == id => Ok(()),
        Some(present) => {
            let text = format!("the metadata belongs to the object store {}", present.id);
            Err(Refusal::Exists(text).into())
        }
        None => {
            row::put(txn, key::store_name(), &row::StoreName { id });
            Ok(())
        }
    }
}

/// Refuses what is no id of an object store.
pub(super) fn check(id: &str) -> Result<(), Refusal> {
    if id.len() != 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        let text = "the id of an object store has 32 hexadecimal digits";
        return Err(Refusal::Invalid(text.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::memory::Memory;
    use crate::testing::{CountingRandom, ManualClock};
    use crate::{Client, ReadAt, Refusal, command::NameStore, query::StoreId};

    #[tokio::test]
    async fn the_id_of_the_store_is_set_once() {
        let clock = ManualClock::new();
        let memory = Memory::new(clock.clone());
        let random = std::sync::Arc::new(CountingRandom::default());
        let client = Client::new(memory.clone(), clock, random);
        let told = async || client.ask(StoreId {}, ReadAt::Latest).await.unwrap().0;
        let name = async |id: &str| client.run(NameStore { id: id.into() }).await.unwrap().0;
        assert_eq!(told().await, None);
        for bad in ["", "store", &"g".repeat(32), &"a".repeat(33)] {
            let refused = name(bad).await;
            assert!(matches!(refused, Err(Refusal::Invalid(_))), "{bad}");
        }
        let (ours, other) = ("a1".repeat(16), "b2".repeat(16));
        for _ in 0..2 {
            name(&ours).await.unwrap();
        }
        assert!(matches!(name(&other).await, Err(Refusal::Exists(_))));
        assert_eq!(told().await, Some(ours));
        assert!(memory.check_consistency().await.unwrap().is_empty());
    }
}
