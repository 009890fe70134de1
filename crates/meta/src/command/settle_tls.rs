//! Tells what became of the report about a domain's day.

use postrider_kv::Txn;
use postrider_types::DomainName;
use serde::{Deserialize, Serialize};

use super::{Accept, Accepted};
use crate::api::{Context, Refusal};
use crate::queue::check_count;
use crate::stop::Stop;
use crate::{key, limit, row};

/// Tells what became of the report about the TLS results of a domain's day. The
/// report by mail is accepted in the same transaction, so that it goes exactly once.
///
/// Refused with [`Refusal::NotFound`] where the results are gone or have changed:
/// then nothing happens, whatever the command holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SettleTls {
    /// Days since 1970-01-01, UTC.
    pub day: u32,
    /// The domain.
    pub domain: DomainName,
    /// The [`TlsResults::revision`](crate::TlsResults::revision) that was reported.
    pub revision: u64,
    /// The results are not needed any more.
    pub done: bool,
    /// Places that have the report now, up to 10 of up to 2,048 bytes.
    pub sent: Vec<String>,
    /// The report by mail.
    pub accept: Option<Accept>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: SettleTls,
) -> Result<Option<Accepted>, Stop> {
    let place = key::tls_results(command.day, &command.domain);
    let row: Option<row::TlsResults> = row::get(txn, &place).await?;
    let row = row.filter(|row| row.revision == command.revision);
    let Some(mut row) = row else {
        let text = format!("TLS results of {} to be reported", command.domain);
        return Err(Refusal::NotFound(text).into());
    };
    if command.done {
        txn.delete(place);
    } else {
        for sent in command.sent {
            if !row.sent.contains(&sent) {
                row.sent.push(sent);
            }
        }
        check_count("places of a report", row.sent.len(), limit::TLS_PLACES)?;
        if row.sent.iter().any(|place| place.len() > limit::TLS_PLACE) {
            let text = "the address of a place for reports is too long";
            return Err(Refusal::Limit(text.into()).into());
        }
        row.revision += 1;
        row::put(txn, place, &row);
    }
    match command.accept {
        Some(accept) => Ok(Some(super::accept::apply(txn, cx, accept).await?)),
        None => Ok(None),
    }
}
