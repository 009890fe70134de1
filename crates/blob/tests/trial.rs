//! The trial of registers against real stores that have no conditional PUT: those at the
//! addresses in `POSTRIDER_TEST_STORES`, `http://HOST:PORT/BUCKET` with spaces between
//! them; the keys are in the environment. `tests/stores/garage` has such stores.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on shall panic, and its figures are of interest"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use postrider_blob::{Error, Settings, Store};

/// So often a store is tried: a trial that passes now and then is of no use.
const TIMES: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a store without conditional PUT: tests/stores/garage"]
async fn a_real_store_without_conditional_puts_is_refused_each_time() {
    let stores = std::env::var("POSTRIDER_TEST_STORES").unwrap();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for url in stores.split_whitespace() {
        let settings = Settings::default().at(&format!("{url}/trial")).unwrap();
        let store = Store::open(&settings).unwrap();
        store.probe().await.unwrap();
        for _ in 0..TIMES {
            let tried = store.check_registers(Duration::from_secs(5)).await;
            let Err(Error::Invalid(reason)) = tried else {
                panic!("{url}: {tried:?}");
            };
            *reasons.entry(reason).or_default() += 1;
        }
    }
    assert!(!reasons.is_empty(), "no stores");
    for (reason, times) in reasons {
        println!("{times} times: {reason}");
    }
}
