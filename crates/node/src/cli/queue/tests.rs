//! The wording of what the queue's commands show.

use clap::Parser;
use postrider_types::Millis;

use super::*;
use crate::moment::Moment;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    queue: Queue,
}

fn parses(line: &str) -> bool {
    let words = std::iter::once("queue").chain(line.split(' '));
    Cli::try_parse_from(words).is_ok()
}

#[test]
fn it_must_be_said_which_entries_to_change() {
    for line in [
        "retry q1 2",
        "hold --all",
        "remove --sender a --error b",
        "release --state held",
        "flush",
        "flush --domain example.org",
        "list",
        "list --limit 3 --state leased",
    ] {
        assert!(parses(line), "{line}");
    }
    for line in [
        "retry",
        "hold q1 --all",
        "remove q1 --sender a",
        "remove --all --domain example.org",
        "remove --yes",
        "list --state asleep",
    ] {
        assert!(!parses(line), "{line}");
    }
}

fn entry(now: Millis) -> api::Entry {
    let at = |seconds: i64| Moment(Millis(now.0.saturating_add_signed(seconds * 1_000)));
    let recipient = |address: &str| api::Recipient {
        address: address.into(),
        notify: None,
        original: None,
        last: Some("450 4.2.0 Greylisted\u{7}".into()),
    };
    api::Entry {
        id: 12,
        message: "0".repeat(32),
        sender: "alice@example.org".into(),
        destination: "example.net".into(),
        recipients: vec![recipient("bob@example.net"), recipient("eve@example.net")],
        size: 1536,
        created: at(-7_300),
        due: at(290),
        warn: None,
        expires: at(4 * 86_400),
        attempts: 1,
        last_error: Some("450 4.2.0 Greylisted\n".into()),
        state: "waiting".into(),
        node: None,
        until: None,
        submitter: None,
        sign: Some("example.org".into()),
        smtp_utf8: false,
        require_tls: false,
        tls_optional: false,
        ret: None,
        envelope_id: None,
    }
}

#[test]
fn a_line_tells_what_an_entry_waits_for() {
    let mut entry = entry(words::now());
    let line = |entry: &api::Entry| {
        table(std::slice::from_ref(entry))
            .lines()
            .nth(1)
            .map(str::to_owned)
    };
    let waits = line(&entry).unwrap();
    assert_eq!(
        waits,
        "q12  2 h  1.5 KiB  1      alice@example.org  bob@example.net +1  in 4 m  450 4.2.0 Greylisted"
    );
    entry.state = "held".into();
    assert!(line(&entry).unwrap().contains("  held  "));
    (entry.state, entry.node) = ("leased".into(), Some(2));
    assert!(line(&entry).unwrap().contains("  with node 2  "));
}

#[test]
fn an_entry_is_shown_with_its_recipients() {
    let now = Millis::from_seconds(1_801_353_600);
    let text = show::text(&entry(now), now);
    for part in [
        "entry        q12\n",
        "size         1.5 KiB\n",
        "came         2027-01-30 21:58:20, 2 h ago\n",
        "tried        1 time\n",
        "next         in 4 m (2027-01-31 00:04:50)\n",
        "expires      in 4 d (2027-02-04 00:00:00)\n",
        "signed as    example.org\n",
        "\nRECIPIENT        LAST REPLY\n",
        "eve@example.net  450 4.2.0 Greylisted\n",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
}
