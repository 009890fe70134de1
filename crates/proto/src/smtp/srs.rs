//! The Sender Rewriting Scheme: what is forwarded to another server leaves with a
//! sender of ours, so that SPF there judges us and not the first sender, and a
//! bounce finds its way back through us.
//!
//! `SRS0=hash=day=domain=local@ours`, as the scheme has it. The hash is keyed, so
//! that nobody can have us send to an address of his choice.

use postrider_types::{DomainName, Millis};

/// How long a rewritten address leads back. Servers try for five days at the most,
/// as a rule.
const DAYS: u64 = 21;
/// Days are counted round this circle: two letters.
const CIRCLE: u64 = 1024;
/// Letters of the hash: 50 bits.
const HASH: usize = 10;
/// The longest local part (RFC 5321 §4.5.3.1.1 says 64; what is longer is common
/// among rewritten addresses, and is taken by most).
const MAX_LOCAL: usize = 200;
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The key of a cluster's rewritten addresses. Never shown.
#[derive(Clone)]
pub struct SrsKey([u8; 32]);

impl SrsKey {
    /// The key with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The sender in the name of `ours` that stands for `sender`. None where it
    /// needs none (the null sender) or cannot be rewritten: then it leaves as it is.
    pub fn forward(&self, sender: &str, ours: &DomainName, now: Millis) -> Option<String> {
        let (local, domain) = sender.rsplit_once('@')?;
        DomainName::parse(domain).ok()?;
        // What another has rewritten before is wrapped once more: its hash is not
        // ours to check, so the whole local part is kept.
        let day = day(now);
        let hash = self.hash(&day, domain, local);
        let text = format!("SRS0={hash}={day}={domain}={local}");
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        (plain && text.len() <= MAX_LOCAL).then(|| format!("{text}@{ours}"))
    }

    /// The address that a rewritten local part stands for; None if it is none of
    /// ours, or too old.
    pub fn backward(&self, local: &str, now: Millis) -> Option<(String, DomainName)> {
        let rest = strip(local, "SRS0=")?;
        let mut parts = rest.splitn(4, '=');
        let (hash, day) = (parts.next()?, parts.next()?);
        let (domain, local) = (parts.next()?, parts.next()?);
        let day = day.to_ascii_uppercase();
        let expected = self.hash(&day, domain, local);
        // Some servers change the case of a local part.
        let same = hash.eq_ignore_ascii_case(&expected);
        let name = DomainName::parse(domain).ok()?;
        (same && is_recent(&day, now)).then(|| (format!("{local}@{domain}"), name))
    }

    fn hash(&self, day: &str, domain: &str, local: &str) -> String {
        let text = format!("{day}\0{domain}\0{local}").to_ascii_lowercase();
        let hash = blake3::keyed_hash(&self.0, text.as_bytes());
        hash.as_bytes()[..HASH]
            .iter()
            .map(|byte| letter(u64::from(*byte)))
            .collect()
    }
}

/// Whether a local part may be one that we have rewritten.
pub fn looks_rewritten(local: &str) -> bool {
    strip(local, "SRS0=").is_some()
}

fn strip<'a>(local: &'a str, tag: &str) -> Option<&'a str> {
    let start = local.get(..tag.len())?;
    start.eq_ignore_ascii_case(tag).then(|| &local[tag.len()..])
}

fn letter(number: u64) -> char {
    char::from(LETTERS[(number % 32) as usize])
}

/// The day as two letters.
fn day(now: Millis) -> String {
    let day = now.seconds() / 86_400 % CIRCLE;
    [letter(day / 32), letter(day)].into_iter().collect()
}

fn is_recent(day: &str, now: Millis) -> bool {
    let value = |letter: u8| LETTERS.iter().position(|it| *it == letter);
    let [first, second] = day.as_bytes() else {
        return false;
    };
    let (Some(first), Some(second)) = (value(*first), value(*second)) else {
        return false;
    };
    let then = (first * 32 + second) as u64;
    let today = now.seconds() / 86_400 % CIRCLE;
    (today + CIRCLE - then) % CIRCLE <= DAYS
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Millis = Millis(1_790_000_000_000);

    fn key() -> SrsKey {
        SrsKey::new([7; 32])
    }

    fn forward(sender: &str) -> String {
        let ours = DomainName::parse("example.test").unwrap();
        key().forward(sender, &ours, NOW).unwrap()
    }

    fn local(address: &str) -> &str {
        address.rsplit_once('@').unwrap().0
    }

    #[test]
    fn what_is_rewritten_leads_back() {
        for sender in [
            "ann@outside.test",
            "A.b+c=d@outside.test",
            "SRS0=x=y=z.test=q@outside.test",
        ] {
            let rewritten = forward(sender);
            assert!(rewritten.starts_with("SRS0=") && rewritten.ends_with("@example.test"));
            let back = key().backward(local(&rewritten), NOW).unwrap();
            assert_eq!(back.0, sender);
            let lower = local(&rewritten).to_ascii_lowercase();
            assert!(key().backward(&lower, NOW).is_some(), "{lower}");
        }
    }

    #[test]
    fn nobody_makes_one_up() {
        let rewritten = forward("ann@outside.test");
        let other = local(&rewritten).replace("ann", "bob");
        assert_eq!(key().backward(&other, NOW), None);
        let foreign = SrsKey::new([8; 32]);
        assert_eq!(foreign.backward(local(&rewritten), NOW), None);
        for bad in ["", "SRS0=", "SRS0=a=b=c", "SRS0=é=b=c.test=d", "x"] {
            assert_eq!(key().backward(bad, NOW), None, "{bad}");
        }
    }

    #[test]
    fn it_ends_after_three_weeks() {
        let rewritten = forward("ann@outside.test");
        let after = |days: u64| NOW.after(Duration::from_secs(days * 86_400));
        assert!(key().backward(local(&rewritten), after(20)).is_some());
        assert!(key().backward(local(&rewritten), after(23)).is_none());
    }

    #[test]
    fn what_cannot_be_written_is_left_alone() {
        let ours = DomainName::parse("example.test").unwrap();
        let long = format!("{}@outside.test", "a".repeat(300));
        let literal = "e@[192.0.2.1]";
        for sender in ["", "\"a b\"@outside.test", "ü@outside.test", literal, &long] {
            assert_eq!(key().forward(sender, &ours, NOW), None, "{sender}");
        }
    }
}
