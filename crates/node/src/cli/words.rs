//! How the command line words the queue: moments as people speak of them, and
//! texts of strangers so that they do nothing to a terminal.

use std::time::Duration;

use postrider_types::{Clock as _, Millis, SystemClock};

use crate::admin::api::{Entry, Stats};
use crate::moment::Moment;

/// This moment.
pub(super) fn now() -> Millis {
    SystemClock.now()
}

/// A span in its largest unit: `40 s`, `5 m`, `3 h`, `2 d`.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} m", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long ago `at` was.
pub(super) fn age(at: Moment, now: Millis) -> String {
    span(now.since(at.0))
}

/// When `at` will be: `in 5 m`, or `now` if it has come.
pub(super) fn ahead(at: Moment, now: Millis) -> String {
    if at.0 <= now {
        return "now".into();
    }
    // Rounded up to whole seconds: `in 0 s` is not yet.
    let left = at.0.since(now) + Duration::from_millis(999);
    format!("in {}", span(left))
}

/// What becomes of an entry next.
pub(super) fn next(entry: &Entry, now: Millis) -> String {
    match (entry.state.as_str(), entry.node) {
        ("waiting", _) => ahead(entry.due, now),
        ("leased", Some(node)) => format!("with node {node}"),
        (state, _) => state.to_owned(),
    }
}

/// A reverse-path: the null one is shown as SMTP writes it.
pub(super) fn sender(path: &str) -> String {
    match path {
        "" => "<>".into(),
        path => harmless(path),
    }
}

/// The first of `addresses`, and how many others there are.
pub(super) fn first<'a>(mut addresses: impl Iterator<Item = &'a str>) -> String {
    let first = addresses.next().map_or_else(|| "-".into(), harmless);
    match addresses.count() {
        0 => first,
        others => format!("{first} +{others}"),
    }
}

/// What others said: control characters would steer the terminal.
pub(super) fn harmless(text: &str) -> String {
    let harmless = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(harmless).collect()
}

/// `value` made harmless, or a dash.
pub(super) fn harmless_or_dash(value: Option<&String>) -> String {
    value.map_or_else(|| "-".into(), |value| harmless(value))
}

/// How much waits in the queue, and how long, in one line.
pub(super) fn queue(stats: &Stats, now: Millis) -> String {
    let Some(oldest) = stats.oldest.filter(|_| stats.entries > 0) else {
        return "the queue is empty".into();
    };
    let held = match stats.held {
        0 => String::new(),
        held => format!(", {held} held"),
    };
    format!(
        "{} in the queue for {}{held}, the oldest for {}",
        counted(stats.entries, "entry", "entries"),
        counted(stats.destinations, "destination", "destinations"),
        age(oldest, now),
    )
}

/// `count` with the word for one or for several.
pub(super) fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// The version that all nodes obey, as it follows a program's release.
pub(crate) fn cluster_version(version: Option<u32>) -> String {
    let version = version.filter(|version| *version > 0);
    version.map_or_else(String::new, |version| {
        format!(", cluster version {version}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis::from_seconds(1_000_000);

    fn at(seconds: i64) -> Moment {
        Moment(Millis(NOW.0.saturating_add_signed(seconds * 1_000)))
    }

    #[test]
    fn spans_have_one_unit() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 m"),
            (3_599, "59 m"),
            (3_600, "1 h"),
            (172_799, "47 h"),
            (172_800, "2 d"),
            (864_000, "10 d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn moments_are_told_from_now() {
        assert_eq!(age(at(-300), NOW), "5 m");
        // The node's clock goes ahead of ours.
        assert_eq!(age(at(2), NOW), "0 s");
        assert_eq!(ahead(at(-1), NOW), "now");
        assert_eq!(ahead(at(0), NOW), "now");
        assert_eq!(ahead(at(300), NOW), "in 5 m");
        assert_eq!(ahead(Moment(Millis(NOW.0 + 1)), NOW), "in 1 s");
    }

    #[test]
    fn recipients_are_counted() {
        assert_eq!(first([].into_iter()), "-");
        assert_eq!(first(["a@b"].into_iter()), "a@b");
        assert_eq!(first(["a@b", "c@d", "e@f"].into_iter()), "a@b +2");
    }

    #[test]
    fn strangers_do_not_steer_the_terminal() {
        assert_eq!(harmless("450 no\r\n\u{1b}[2J\u{9b}x"), "450 no   [2J x");
        assert_eq!(sender(""), "<>");
    }

    #[test]
    fn the_queue_is_told_in_one_line() {
        let mut stats = Stats::default();
        assert_eq!(queue(&stats, NOW), "the queue is empty");
        stats = Stats {
            entries: 1,
            held: 0,
            oldest: Some(at(-90)),
            destinations: 1,
        };
        assert_eq!(
            queue(&stats, NOW),
            "1 entry in the queue for 1 destination, the oldest for 1 m"
        );
        (stats.entries, stats.held, stats.destinations) = (12, 2, 3);
        assert_eq!(
            queue(&stats, NOW),
            "12 entries in the queue for 3 destinations, 2 held, the oldest for 1 m"
        );
    }
}
