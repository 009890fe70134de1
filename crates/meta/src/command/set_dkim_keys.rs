//! Sets the keys that a domain's mail is signed with.

use std::collections::BTreeSet;

use postrider_kv::Txn;
use postrider_types::DomainName;
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::stop::Stop;
use crate::view::{DkimKey, DkimState};
use crate::{directory, key, limit, row};

/// Sets all keys of a local domain, in place of those before. They go with the
/// domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetDkimKeys {
    /// The domain.
    pub domain: DomainName,
    /// What the caller takes its present keys to be. Where they are others, somebody else
    /// has changed them meanwhile: refused with [`Refusal::InUse`], and nothing is lost.
    pub before: Vec<(String, DkimState)>,
    /// Its keys, up to 10, each with a selector of its own.
    pub keys: Vec<DkimKey>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: SetDkimKeys,
) -> Result<(), Stop> {
    directory::local_domain(txn, &command.domain).await?;
    check(&command.keys)?;
    let place = key::dkim_keys(&command.domain);
    let present: row::DkimKeys = row::get(txn, &place).await?.unwrap_or_default();
    let present: Vec<_> = present.view().iter().map(DkimKey::known).collect();
    if present != command.before {
        let text = format!(
            "the keys of {} have just been changed by somebody else: look at them again",
            command.domain
        );
        return Err(Refusal::InUse(text).into());
    }
    if command.keys.is_empty() {
        txn.delete(place);
    } else {
        row::put(txn, place, &row::DkimKeys::new(command.keys));
    }
    Ok(())
}

fn check(keys: &[DkimKey]) -> Result<(), Refusal> {
    if keys.len() > limit::DKIM_KEYS {
        let text = format!("a domain has at most {} keys", limit::DKIM_KEYS);
        return Err(Refusal::Limit(text));
    }
    let mut selectors = BTreeSet::new();
    for key in keys {
        check_selector(&key.selector)?;
        if !selectors.insert(&key.selector) {
            return Err(Refusal::Exists(format!("the selector {}", key.selector)));
        }
        let (private, public) = (limit::DKIM_PRIVATE, limit::DKIM_PUBLIC);
        if !(1..=private).contains(&key.private.len()) || !(1..=public).contains(&key.public.len())
        {
            let text = format!("a key has up to {private} bytes, its public part up to {public}");
            return Err(Refusal::Limit(text));
        }
    }
    Ok(())
}

/// RFC 6376 §3.1: a selector is one or several labels of a domain name.
fn check_selector(selector: &str) -> Result<(), Refusal> {
    let label = |label: &str| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(allowed)
    };
    if selector.len() > limit::DKIM_SELECTOR || !selector.split('.').all(label) {
        let most = limit::DKIM_SELECTOR;
        return Err(Refusal::Invalid(format!(
            "{selector:?} is no selector: use 1 to {most} letters, digits and hyphens, in lower case"
        )));
    }
    Ok(())
}
