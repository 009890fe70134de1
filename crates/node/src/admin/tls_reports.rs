//! `/v1/tls-reports`

use std::ops::Range;
use std::time::Duration;

use axum::Json as AxumJson;
use axum::extract::State;
use axum::http::StatusCode;
use postrider_meta::query;
use postrider_queue::{ReportError, TlsReporter};
use postrider_types::Millis;
use tokio::time::Instant;

use super::api::{List, SendTlsReports, SentTlsReports, TlsResults};
use super::{Error, Handles, Json, Paging, Query, Result, cursor, hex};
use crate::date;

/// How long one request goes on sending; who asks goes on with `next`.
const SPAN: Duration = Duration::from_secs(15);

pub(super) async fn list(
    State(handles): State<Handles>,
    Query(paging): Query<Paging>,
) -> Result<AxumJson<List<TlsResults>>> {
    let ask = query::TlsResults {
        after: paging.after()?,
        limit: paging.limit(),
        from: 0,
        before: u32::MAX,
    };
    Ok(List::of(handles.ask(ask).await?))
}

pub(super) async fn send(
    State(handles): State<Handles>,
    Json(send): Json<SendTlsReports>,
) -> Result<AxumJson<SentTlsReports>> {
    let days = days(send.day.as_deref(), handles.meta.clock().now())?;
    let reporter = handles.reporter()?;
    let until = Instant::now() + SPAN;
    let mut after = cursor(send.after.as_deref())?;
    let mut all = SentTlsReports::default();
    loop {
        let reported = reporter.send(days.clone(), after).await?;
        all.sent += reported.sent;
        all.kept += reported.kept;
        after = reported.next;
        if after.is_none() || Instant::now() >= until {
            all.next = after.map(hex);
            return Ok(AxumJson(all));
        }
    }
}

impl Handles {
    fn reporter(&self) -> Result<&TlsReporter> {
        self.tls_reporter.get().ok_or_else(|| {
            let text = "this node sends no mail, or has not begun yet: ask one with the role \
                        `frontend` that is ready";
            Error::new(StatusCode::CONFLICT, "not_now", text)
        })
    }
}

/// Which days `day` means; without it those that are over.
fn days(day: Option<&str>, now: Millis) -> Result<Range<u32>> {
    let today = number(now);
    let day = match day {
        None => return Ok(0..today),
        Some("today") => today,
        Some(day) => {
            let error = |error| Error::invalid(format!("{error}, or `today`"));
            number(date::parse(day).map_err(error)?)
        }
    };
    Ok(day..day.saturating_add(1))
}

fn number(at: Millis) -> u32 {
    u32::try_from(at.0 / date::DAY).unwrap_or(u32::MAX)
}

impl From<ReportError> for Error {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Meta(error) => error.into(),
            ReportError::Off | ReportError::NoKeys | ReportError::Unsigned(_) => {
                Self::new(StatusCode::CONFLICT, "not_now", error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_named() {
        let now = Millis(20_000 * date::DAY + 5);
        let of = |day| days(day, now).ok();
        assert_eq!(of(None), Some(0..20_000));
        assert_eq!(of(Some("today")), Some(20_000..20_001));
        assert_eq!(of(Some("1970-01-02")), Some(1..2));
        assert_eq!(of(Some("yesterday")), None);
    }
}
