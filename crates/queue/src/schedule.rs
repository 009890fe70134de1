//! When something is tried again: an entry of the queue, and a destination that
//! could not be reached.

use std::time::Duration;

use postrider_types::Millis;
use rand::Rng;

use crate::Settings;

/// The first rest of a destination that cannot be reached; it is doubled with
/// each failure.
const FIRST_REST: Duration = Duration::from_secs(30);
/// The clocks of nodes may differ by so much without mail being tried too early.
const APART: Duration = Duration::from_secs(60);

/// When an entry is due again after its `attempts`th attempt (from 1) at `now`.
/// Never after `expires`: there it is tried a last time.
pub(crate) fn next_attempt(
    settings: &Settings,
    attempts: u32,
    now: Millis,
    expires: Millis,
) -> Millis {
    let at = (attempts.max(1) as usize - 1).min(settings.retry.len().saturating_sub(1));
    let pause = settings.retry.get(at).map_or(FIRST_REST, |span| span.0);
    now.after(scattered(pause)).min(expires)
}

/// Until when a destination rests after its `failures`th failure (from 1).
pub(crate) fn rest(settings: &Settings, failures: u32, now: Millis) -> Millis {
    let doubled = FIRST_REST.saturating_mul(1 << failures.saturating_sub(1).min(10));
    now.after(scattered(doubled.min(settings.longest_rest)))
}

/// Nothing is put off for longer by a node whose clock is right.
pub(crate) fn longest(settings: &Settings) -> Duration {
    let pauses = settings.retry.iter().map(|span| span.0);
    let longest = pauses.max().unwrap_or_default().max(settings.longest_rest);
    longest.max(FIRST_REST).mul_f64(1.1) + APART
}

/// `span` and up to a tenth more, so that what failed together does not come
/// back together.
fn scattered(span: Duration) -> Duration {
    span + span.mul_f64(rand::rng().random_range(0.0..0.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000_000_000);

    fn pause(attempts: u32) -> u64 {
        let far = NOW.after(Duration::from_secs(1_000_000));
        let next = next_attempt(&Settings::default(), attempts, NOW, far);
        next.since(NOW).as_secs() / 60
    }

    #[test]
    fn pauses_grow_and_the_last_is_repeated() {
        assert_eq!(pause(1), 1);
        assert_eq!(pause(2), 5);
        assert!((360..=396).contains(&pause(6)));
        assert!((360..=396).contains(&pause(600)));
    }

    #[test]
    fn the_last_attempt_is_at_the_end_of_the_lifetime() {
        let expires = NOW.after(Duration::from_secs(30));
        assert_eq!(next_attempt(&Settings::default(), 3, NOW, expires), expires);
    }

    #[test]
    fn nothing_is_put_off_for_longer_than_is_told() {
        let settings = Settings::default();
        let far = NOW.after(Duration::from_secs(1_000_000));
        let longest = longest(&settings);
        assert!(next_attempt(&settings, 6, NOW, far).since(NOW) < longest);
        assert!(rest(&settings, 40, NOW).since(NOW) < longest);
    }

    #[test]
    fn a_rest_is_bounded() {
        let settings = Settings::default();
        let long = rest(&settings, 40, NOW).since(NOW);
        assert!(long >= settings.longest_rest && long <= settings.longest_rest.mul_f64(1.1));
        assert!(rest(&settings, 1, NOW).since(NOW) < Duration::from_secs(40));
    }
}
