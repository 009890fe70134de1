//! The stored form of every family of rows, byte by byte: keys, rows and verdicts
//! that a release has written must be read by the next one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::*;

/// The first row of each family in a whole store.
const STORED: &str = include_str!("golden.txt");

/// Where a new form is written to, if it is.
const WRITE: &str = "POSTRIDER_WRITE_GOLDEN";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The table that a key belongs to, as `key.rs` names it.
fn family(key: &[u8]) -> String {
    match key[0] {
        b'a' => format!("a {}", char::from(key[9])),
        table => format!("{} {}", char::from(table), char::from(key[1])),
    }
}

/// Rows that the whole store has none of.
fn others() -> Vec<(Vec<u8>, Bytes)> {
    let mailbox = row::DefaultMailbox {
        name: "Sent".into(),
        special_use: 5,
    };
    let mailboxes = row::DefaultMailboxes {
        mailboxes: vec![mailbox],
    };
    let store = row::StoreName {
        id: "0a".repeat(16),
    };
    let secret = row::Secret {
        secret: Bytes::from_static(&[7; 32]),
    };
    vec![
        (key::default_mailboxes(), row::encode(&mailboxes)),
        (key::store_name(), row::encode(&store)),
        (key::secret(), row::encode(&secret)),
    ]
}

#[tokio::test]
async fn every_family_of_rows_is_stored_as_it_was() {
    let whole = Whole::new().await;
    let snapshot = whole.memory.snapshot();
    let mut families = BTreeMap::new();
    for table in [b"g", b"a"] {
        let mut walk = Walk::new(&snapshot, table);
        while let Some(pairs) = walk.next().await.unwrap() {
            for (key, value) in pairs {
                let line = format!("{} {}", hex(&key), hex(&value));
                families.entry(family(&key)).or_insert(line);
            }
        }
    }
    for (key, value) in others() {
        let line = format!("{} {}", hex(&key), hex(&value));
        families.entry(family(&key)).or_insert(line);
    }
    let mut text = String::new();
    for (family, line) in &families {
        let _ = writeln!(text, "{family} {line}");
    }
    if let Ok(file) = std::env::var(WRITE) {
        std::fs::write(file, &text).unwrap();
    }
    let (before, now): (Vec<_>, Vec<_>) = (STORED.lines().collect(), text.lines().collect());
    let changed: Vec<_> = before.iter().filter(|line| !now.contains(line)).collect();
    assert!(
        changed.is_empty(),
        "the stored form of these families is not what it was:\n{changed:#?}\nWhat releases have \
         written must still be read, and what is written must be read by the release before: \
         add fields only, or raise the version byte and write the new form only where the cluster \
         has the feature (ADR 34). Then write golden.txt anew: {WRITE}=FILE"
    );
    let missing: Vec<_> = now.iter().filter(|line| !before.contains(line)).collect();
    assert!(missing.is_empty(), "add to golden.txt: {missing:#?}");
}

/// The families that `key.rs` lists are all there, but for those whose value says
/// nothing.
#[test]
fn no_family_of_rows_is_left_out() {
    let listed = include_str!("../../key.rs").lines().filter_map(|line| {
        let row = line.strip_prefix("//! | `")?;
        if row.contains("| nothing") {
            return None;
        }
        let mut words = row.split(['`', ' ']).filter(|word| !word.is_empty());
        let (table, mut tag) = (words.next()?, words.next()?);
        if table == "a" {
            // The account's id comes in between.
            tag = row
                .split('`')
                .skip(1)
                .find(|part| part.trim().len() == 1)?
                .trim();
        }
        (table.len() == 1 && tag.len() == 1).then(|| format!("{table} {tag}"))
    });
    for family in listed {
        let found = STORED
            .lines()
            .any(|line| line.starts_with(&format!("{family} ")));
        assert!(found, "{family:?}: no row of it in golden.txt");
    }
}
