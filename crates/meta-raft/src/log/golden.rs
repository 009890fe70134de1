//! What stands in the log's files, byte by byte: a log that a release has written is
//! opened by the next one, and what is not read is refused by its version.

use std::fmt::Write as _;

use super::record::{Facts, Kind, Mark, Record, SegmentHeader};
use crate::batch::Batch;
use crate::payload;
use crate::raft::{Vote, log_id};
use postrider_kv::Op;
use postrider_types::{AccountId, Millis};

const STORED: &str = include_str!("golden.txt");

/// Where a new form is written to, if it is.
const WRITE: &str = "POSTRIDER_WRITE_GOLDEN";

fn line(what: &str, bytes: &[u8]) -> String {
    let start = format!("{what} ");
    bytes.iter().fold(start, |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn records() -> Vec<Record> {
    let id = log_id(5, 6);
    let mut records = vec![Record::vote(&Vote::new_committed(7, 2))];
    for kind in [
        Kind::Blank,
        Kind::Batch,
        Kind::Membership,
        Kind::Committed,
        Kind::Truncate,
        Kind::Purge,
        Kind::Seal,
    ] {
        let mut record = Record::id(kind, Some(&id));
        if matches!(kind, Kind::Batch | Kind::Membership) {
            record.body = "body".into();
        }
        records.push(record);
    }
    records
}

fn header() -> SegmentHeader {
    SegmentHeader {
        seed: 1,
        node: 2,
        sequence: 3,
        base: 4096,
        size: 1 << 20,
        facts: Facts {
            vote: Some(Vote::new(8, 9)),
            committed: Some(log_id(1, 10)),
            purged: Some(log_id(1, 4)),
            last: Some(log_id(2, 12)),
        },
    }
}

fn batch() -> Batch {
    let ops = [
        Op::Put {
            key: "key".into(),
            value: "value".into(),
        },
        Op::Delete { key: "gone".into() },
        Op::DeleteRange {
            start: "from".into(),
            end: "to".into(),
        },
    ];
    Batch::encode(2, 3, Millis(5), &[AccountId(4)], &ops)
}

#[test]
fn files_and_entries_look_as_they_did() {
    let mut lines = Vec::new();
    for record in records() {
        let mut bytes = Vec::new();
        record.encode(1, 8192, 4096, &mut bytes);
        lines.push(line(&format!("record-{:?}", record.kind), &bytes));
    }
    let bytes = header().encode();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
    lines.push(line("segment", &bytes[..used]));
    let mark = Mark {
        seed: 1,
        counter: 2,
        synced: 3,
        sequence: 4,
    };
    lines.push(line("mark", &mark.encode()));
    lines.push(line("batch", batch().bytes()));
    let text = postrider_meta::ReadAt::AtLeast(postrider_meta::Token(7));
    lines.push(line("payload", &payload::encode(&text).unwrap()));
    let text = lines.join("\n") + "\n";
    if let Ok(file) = std::env::var(WRITE) {
        std::fs::write(file, &text).unwrap();
    }
    assert_eq!(
        text, STORED,
        "a form of the log, of entries or of payloads has changed: raise its version, read the \
         one before as well, and write the new one only where the cluster has the feature if \
         other nodes see it (ADR 34). Then write golden.txt anew: {WRITE}=FILE"
    );
}
