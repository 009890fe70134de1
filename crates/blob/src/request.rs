//! One request to the object store: attempts with a timeout each, exponential
//! backoff with jitter between them, a deadline over all, metrics and health.

use std::future::Future;
use std::time::Duration;

use metrics::{counter, histogram};
use tokio::time::{Instant, sleep, timeout};

use crate::Error;
use crate::health::{Health, Side};
use crate::settings::Settings;

/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// What is asked of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Put,
    Get,
    Head,
    Delete,
    List,
    StartUpload,
    PutPart,
    FinishUpload,
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::List => "list",
            Self::StartUpload => "start_upload",
            Self::PutPart => "put_part",
            Self::FinishUpload => "finish_upload",
        }
    }

    pub(crate) fn side(self) -> Side {
        match self {
            Self::Get | Self::Head | Self::List => Side::Read,
            _ => Side::Write,
        }
    }
}

/// How patient requests are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    attempt: Duration,
    deadline: Duration,
    pause: Duration,
}

impl Patience {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            attempt: settings.attempt_timeout,
            deadline: settings.deadline,
            pause: settings.retry_pause,
        }
    }

    pub(crate) fn attempt_limit(&self) -> Duration {
        self.attempt
    }

    /// The pause before retry number `n` (from 0): half of it fixed, half random.
    fn pause(&self, n: u32) -> Duration {
        let full = self.pause.saturating_mul(1 << n.min(16)).min(MAX_PAUSE);
        full.mul_f64(0.5 + rand::random::<f64>() / 2.0)
    }
}

/// Runs the request `op` on the object `key`. `make` begins one attempt.
///
/// While the circuit of its side is open it fails at once: whoever waits for
/// mail is told quickly, and a store that comes back is not met by a herd.
pub(crate) async fn run<T, F>(
    health: &Health,
    patience: Patience,
    op: Op,
    key: &str,
    make: impl Fn() -> F,
) -> Result<T, Error>
where
    F: Future<Output = object_store::Result<T>>,
{
    if !health.is_up(op.side()) {
        counter!("postrider_blob_requests_total", "op" => op.name(), "outcome" => "refused")
            .increment(1);
        return Err(Error::Unavailable("it did not answer lately".into()));
    }
    let end = Instant::now() + patience.deadline;
    let mut retries = 0;
    loop {
        let error = match attempt(patience.attempt, end, op, key, make()).await {
            Err(error) if error.is_transient() => error,
            answered => {
                health.succeeded(op.side());
                return answered;
            }
        };
        let pause = patience.pause(retries);
        if Instant::now() + pause >= end {
            health.failed(op.side(), &error);
            return Err(error);
        }
        tracing::debug!(op = op.name(), key, %error, ?pause, "trying again");
        retries += 1;
        sleep(pause).await;
    }
}

/// One attempt, measured.
pub(crate) async fn attempt<T>(
    limit: Duration,
    end: Instant,
    op: Op,
    key: &str,
    request: impl Future<Output = object_store::Result<T>>,
) -> Result<T, Error> {
    let start = Instant::now();
    let limit = limit.min(end.saturating_duration_since(start));
    let result = match timeout(limit, request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(cause)) => Err(Error::classify(cause, key)),
        Err(_) => Err(Error::Unavailable(format!("no answer within {limit:?}"))),
    };
    let outcome = match &result {
        Ok(_) => "ok",
        Err(Error::NotFound(_)) => "not_found",
        Err(Error::Exists(_)) => "exists",
        Err(Error::Unavailable(_)) => "unavailable",
        Err(Error::Short(_) | Error::Invalid(_) | Error::Crowded(_)) => "error",
    };
    counter!("postrider_blob_requests_total", "op" => op.name(), "outcome" => outcome).increment(1);
    histogram!("postrider_blob_request_seconds", "op" => op.name())
        .record(start.elapsed().as_secs_f64());
    result
}
