//! What clients did and were told, and when.

use std::time::Instant;

use parking_lot::Mutex;

/// One operation of one client. Times are of one clock that never steps back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<I, O> {
    /// Before it was asked for.
    pub called: u64,
    /// After its answer came; None: none did, and it may take effect at any time, or
    /// never.
    pub returned: Option<u64>,
    /// What was asked for.
    pub input: I,
    /// What was told.
    pub output: Option<O>,
}

/// Operations under a key, as they are recorded by many clients at once.
pub struct History<K, I, O> {
    began: Instant,
    operations: Mutex<Vec<(K, Operation<I, O>)>>,
}

impl<K: Clone + Ord, I, O> History<K, I, O> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            operations: Mutex::default(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Does `work` and records it: an error is an answer that never came.
    pub async fn record(
        &self,
        key: K,
        input: I,
        work: impl Future<Output = anyhow::Result<O>>,
    ) -> anyhow::Result<()> {
        let called = self.now();
        let (output, error) = match work.await {
            Ok(output) => (Some(output), None),
            Err(error) => (None, Some(error)),
        };
        let operation = Operation {
            called,
            returned: error.is_none().then(|| self.now()),
            input,
            output,
        };
        self.operations.lock().push((key, operation));
        error.map_or(Ok(()), Err)
    }

    /// How many have an answer.
    pub fn answered(&self) -> usize {
        let operations = self.operations.lock();
        let answered = operations.iter().filter(|(_, o)| o.returned.is_some());
        answered.count()
    }

    /// All that was recorded, apart by key.
    pub fn take(&self) -> std::collections::BTreeMap<K, Vec<Operation<I, O>>> {
        let mut apart = std::collections::BTreeMap::new();
        for (key, operation) in self.operations.lock().drain(..) {
            let of: &mut Vec<_> = apart.entry(key).or_default();
            of.push(operation);
        }
        apart
    }
}

impl<K: Clone + Ord, I, O> Default for History<K, I, O> {
    fn default() -> Self {
        Self::new()
    }
}
