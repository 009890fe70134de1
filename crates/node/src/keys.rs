//! The keys that a domain's mail is signed with: made here, in pairs of RSA, which
//! every verifier knows, and Ed25519; and exchanged without a gap. A pair is made as
//! pending, signs once it is active, and is published still when it is retired.
//!
//! Owns the names of selectors and the steps between the states. Where keys are
//! kept is the metadata's business, how they sign the `dkim` crate's.

use std::sync::Arc;

use postrider_dkim::{Algorithm, SelectedKey};
use postrider_meta::{DkimAlgorithm, DkimKey, DkimState};
use postrider_types::Millis;

use crate::date;

/// What a pair is made of: the first letter of the selector, and how it signs.
const PAIR: [(char, Algorithm, DkimAlgorithm); 2] = [
    ('r', Algorithm::Rsa, DkimAlgorithm::RsaSha256),
    ('e', Algorithm::Ed25519, DkimAlgorithm::Ed25519Sha256),
];

/// Makes a pair of keys in `state`, with selectors that none of `known` has.
pub(crate) async fn make(
    known: &[DkimKey],
    state: DkimState,
    now: Millis,
) -> anyhow::Result<Vec<DkimKey>> {
    let series = series(known, now);
    let made = tokio::task::spawn_blocking(move || {
        PAIR.into_iter()
            .map(|(letter, kind, algorithm)| {
                let key = postrider_dkim::Key::generate(kind)?;
                Ok(DkimKey {
                    selector: format!("{letter}{series}"),
                    algorithm,
                    private: key.to_pkcs8()?.into(),
                    public: key.public_key().to_owned().into(),
                    state,
                    created: now,
                })
            })
            .collect::<Result<Vec<_>, postrider_dkim::Error>>()
    });
    Ok(made.await??)
}

/// The end of the next selectors: the year of `now` and the letter after the last
/// one of `known` in that year. A letter of before is not taken again: others may
/// have its record in mind.
fn series(known: &[DkimKey], now: Millis) -> String {
    let day = date::format(now);
    let year = day.split('-').next().unwrap_or_default();
    let numbers = known.iter().filter_map(|key| {
        let series = key.selector.get(1..)?;
        number(series.strip_prefix(year)?)
    });
    let last = numbers.max().unwrap_or_default();
    format!("{year}{}", letters(last.saturating_add(1)))
}

/// The place of `letters` among a, b, ... z, aa, ab, ...: from 1 on.
fn number(letters: &str) -> Option<u32> {
    let mut number = 0_u32;
    for byte in letters.bytes() {
        let digit = byte
            .is_ascii_lowercase()
            .then(|| u32::from(byte - b'a') + 1)?;
        number = number.checked_mul(26)?.checked_add(digit)?;
    }
    (number > 0).then_some(number)
}

/// What is at this place there.
fn letters(mut number: u32) -> String {
    let mut letters = Vec::new();
    while number > 0 {
        number -= 1;
        // Below 26: it is a letter.
        letters.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    letters.iter().rev().collect()
}

/// Whether a pair waits to be activated.
pub(crate) fn has_pending(keys: &[DkimKey]) -> bool {
    has(keys, DkimState::Pending)
}

/// Whether any key is in `state`.
pub(crate) fn has(keys: &[DkimKey], state: DkimState) -> bool {
    keys.iter().any(|key| key.state == state)
}

/// Pending keys sign from now on, those that signed are retired. False, and nothing
/// done, where none is pending.
pub(crate) fn activate(keys: &mut [DkimKey]) -> bool {
    if !has_pending(keys) {
        return false;
    }
    for key in keys {
        key.state = match key.state {
            DkimState::Pending => DkimState::Active,
            DkimState::Active | DkimState::Retired => DkimState::Retired,
        };
    }
    true
}

/// Forgets the retired keys. False where there are none.
pub(crate) fn drop_retired(keys: &mut Vec<DkimKey>) -> bool {
    let before = keys.len();
    keys.retain(|key| key.state != DkimState::Retired);
    keys.len() < before
}

/// The keys as their records are made from them.
pub(crate) fn selected(keys: &[DkimKey]) -> Result<Vec<SelectedKey>, postrider_dkim::Error> {
    let select = |key: &DkimKey| {
        let read = postrider_dkim::Key::from_pkcs8(&key.private)?;
        SelectedKey::new(&key.selector, Arc::new(read))
    };
    keys.iter().map(select).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_801_353_600_000); // 2027-01-31

    fn named(selector: &str, state: DkimState) -> DkimKey {
        DkimKey {
            selector: selector.into(),
            algorithm: DkimAlgorithm::RsaSha256,
            private: bytes::Bytes::new(),
            public: bytes::Bytes::new(),
            state,
            created: NOW,
        }
    }

    #[test]
    fn selectors_follow_the_year_and_are_not_taken_again() {
        let series = |known: &[&str]| {
            let known: Vec<_> = known.iter().map(|s| named(s, DkimState::Retired)).collect();
            super::series(&known, NOW)
        };
        assert_eq!(series(&[]), "2027a");
        assert_eq!(series(&["r2026c", "mail"]), "2027a");
        assert_eq!(series(&["r2027a", "e2027a", "r2027b"]), "2027c");
        assert_eq!(series(&["r2027c"]), "2027d");
        assert_eq!(series(&["r2027z"]), "2027aa");
        assert_eq!(series(&["r2027az", "r2027", "r2027!", "ü2027q"]), "2027ba");
    }

    #[tokio::test]
    async fn a_pair_is_made_that_can_be_read_again() {
        let pair = make(&[], DkimState::Active, NOW).await.unwrap();
        let selectors: Vec<_> = pair.iter().map(|key| key.selector.as_str()).collect();
        assert_eq!(selectors, ["r2027a", "e2027a"]);
        let read = selected(&pair).unwrap();
        for (key, read) in pair.iter().zip(read) {
            assert_eq!(key.public, read.key().public_key());
        }
    }

    #[test]
    fn keys_change_places_without_a_gap() {
        use DkimState::{Active, Pending, Retired};
        let mut keys = vec![named("r2026a", Retired), named("r2026b", Active)];
        assert!(!activate(&mut keys));
        assert!(has(&keys, Active));
        keys.push(named("r2027a", Pending));
        assert!(activate(&mut keys));
        let states: Vec<_> = keys.iter().map(|key| key.state).collect();
        assert_eq!(states, [Retired, Retired, Active]);
        assert!(drop_retired(&mut keys));
        assert!(!drop_retired(&mut keys));
        assert_eq!(keys.len(), 1);
    }
}
