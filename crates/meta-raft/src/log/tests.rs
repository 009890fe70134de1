//! The Raft log: the suite of openraft, cuts, flips, torn tails, missing files.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::entry::encode;
use super::record::SEGMENT_HEADER;
use super::*;
use crate::batch::Batch;
use crate::engine::Bounds;
use crate::error::Error;
use crate::machine::{Machine, Shared as MachineShared};
use crate::raft::{Entry, Payload, TypeConfig, Vote, log_id};

const NODE: u64 = 0;

fn layout() -> Layout {
    Layout {
        segment_bytes: 64 << 10,
        cache_bytes: 16 << 10,
    }
}

fn create(dir: &Path) -> Log {
    Log::create(dir, NODE, layout()).unwrap();
    Log::open(dir, NODE, layout()).unwrap()
}

fn entry(term: u64, index: u64, body: Bytes) -> Entry {
    Entry {
        log_id: log_id(term, index),
        payload: Payload::Normal(Batch::from_bytes(body)),
    }
}

/// A body that depends on the index alone.
fn body(index: u64, length: usize) -> Bytes {
    let bytes = (0..length).map(|at| (index as usize * 31 + at * 7) as u8);
    bytes.collect::<Vec<u8>>().into()
}

/// Appends and waits until it is durable.
async fn append(log: &mut Log, entries: Vec<Entry>) {
    let (sender, receiver) = <TypeConfig as openraft::type_config::TypeConfigExt>::oneshot();
    log.append(entries, IOFlushed::signal(sender))
        .await
        .unwrap();
    receiver.await.unwrap().unwrap();
}

async fn all(log: &mut Log) -> Vec<Entry> {
    log.try_get_log_entries(..).await.unwrap()
}

/// A log with groups of entries over several segments, closed.
async fn filled(dir: &Path, random: &mut StdRng) -> Vec<Entry> {
    let mut log = create(dir);
    log.save_vote(&Vote::new_committed(3, 7)).await.unwrap();
    let mut index = 0;
    for _ in 0..25 {
        let mut group = Vec::new();
        for _ in 0..random.random_range(1..5) {
            group.push(entry(3, index, body(index, random.random_range(0..5000))));
            index += 1;
        }
        append(&mut log, group).await;
        log.save_committed(Some(log_id(3, index - 1)))
            .await
            .unwrap();
    }
    let entries = all(&mut log).await;
    log.close();
    assert_eq!(entries.len() as u64, index);
    entries
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let path = item.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|item| item.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect();
    files.sort();
    files
}

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Damage is found, or nothing acknowledged is missing.
async fn check(dir: &Path, acknowledged: &[Entry], what: &str) -> bool {
    match Log::open(dir, NODE, layout()) {
        Err(Error::Damaged { .. }) => true,
        Err(error) => panic!("{what}: {error}"),
        Ok(mut log) => {
            let found = all(&mut log).await;
            assert!(found == acknowledged, "{what}: lost something silently");
            assert_eq!(
                log.read_vote().await.unwrap(),
                Some(Vote::new_committed(3, 7)),
                "{what}"
            );
            log.close();
            false
        }
    }
}

struct Builder;

impl StoreBuilder<TypeConfig, Log, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, Log, Machine), openraft::StorageError<TypeConfig>> {
        let dir = TempDir::new().unwrap();
        let log = create(&dir.path().join("log"));
        let bounds = Bounds {
            cache_bytes: 1 << 20,
            buffer_bytes: 1 << 20,
            journal_bytes: 64 << 20,
        };
        let shared = Arc::new(MachineShared::open(dir.path(), bounds, 1 << 30).unwrap());
        let machine = Machine::new(shared, None).unwrap();
        Ok((dir, log, machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_the_suite_of_openraft() {
    Suite::test_all(Builder).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn everything_survives_a_restart() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    let entries = filled(&path, &mut rng(1)).await;
    assert!(files(&path).len() > 2, "it should take several segments");
    let mut log = Log::open(&path, NODE, layout()).unwrap();
    assert_eq!(all(&mut log).await, entries);
    assert_eq!(
        log.read_vote().await.unwrap(),
        Some(Vote::new_committed(3, 7))
    );
    assert_eq!(log.committed(), entries.last().map(|entry| entry.log_id));
    assert_eq!(log.cut_at_start(), 0);
    assert!(log.shared().state.lock().cached_bytes <= layout().cache_bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn truncated_entries_stay_gone_and_purged_segments_go() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    let entries = filled(&path, &mut rng(2)).await;
    let mut log = Log::open(&path, NODE, layout()).unwrap();
    let before = files(&path).len();
    let middle = entries[entries.len() / 2].log_id;
    // Less of it is known to be committed than what `filled` says.
    log.save_committed(Some(middle)).await.unwrap();
    log.truncate_after(Some(middle)).await.unwrap();
    let next = middle.index + 1;
    append(&mut log, vec![entry(5, next, body(next, 10))]).await;
    let cut = entries[entries.len() / 2 - 3].log_id;
    log.purge(cut).await.unwrap();
    let expected = {
        let mut kept = entries[entries.len() / 2 - 2..=entries.len() / 2].to_vec();
        kept.push(entry(5, next, body(next, 10)));
        kept
    };
    assert_eq!(all(&mut log).await, expected);
    log.close();
    drop(log);
    for _ in 0..2 {
        let mut log = Log::open(&path, NODE, layout()).unwrap();
        assert_eq!(all(&mut log).await, expected);
        assert_eq!(log.purged(), Some(cut));
        assert_eq!(log.last(), Some(log_id(5, next)));
        log.close();
    }
    // All is purged, segments with truncated entries too.
    let mut log = Log::open(&path, NODE, layout()).unwrap();
    log.purge(log_id(5, 10_000)).await.unwrap();
    append(&mut log, vec![entry(6, 10_001, body(1, 70_000))]).await;
    log.purge(log_id(6, 10_001)).await.unwrap();
    append(&mut log, vec![entry(6, 10_002, body(2, 10))]).await;
    log.close();
    drop(log);
    let mut log = Log::open(&path, NODE, layout()).unwrap();
    assert_eq!(all(&mut log).await, [entry(6, 10_002, body(2, 10))]);
    assert_eq!(
        log.read_vote().await.unwrap(),
        Some(Vote::new_committed(3, 7))
    );
    assert!(files(&path).len() < before);
}

/// A segment may be begun before the spare file is ready. Many logs at once: so
/// their threads come to it in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 16)]
async fn segments_may_be_begun_right_after_the_start() {
    let log = |dir: TempDir| async move {
        let path = dir.path().join("log");
        Log::create(&path, NODE, layout()).unwrap();
        let entries = (0..20).map(|index| entry(1, index, body(index, 66_000)));
        let entries: Vec<Entry> = entries.collect();
        for pair in entries.chunks(2) {
            let mut log = Log::open(&path, NODE, layout()).unwrap();
            append(&mut log, pair.to_vec()).await;
            log.close();
        }
        let mut log = Log::open(&path, NODE, layout()).unwrap();
        assert_eq!(all(&mut log).await, entries);
    };
    let logs = (0..16).map(|_| tokio::spawn(log(TempDir::new().unwrap())));
    for done in futures::future::join_all(logs).await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_entry_may_be_larger_than_a_segment() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    let mut log = create(&path);
    let large = vec![
        entry(1, 0, body(0, 10)),
        entry(1, 1, body(1, 24 << 20)),
        entry(1, 2, body(2, 10)),
    ];
    append(&mut log, large.clone()).await;
    assert_eq!(all(&mut log).await, large);
    log.close();
    let mut log = Log::open(&path, NODE, layout()).unwrap();
    assert_eq!(all(&mut log).await, large);
    let limited = log.limited_get_log_entries(1, 3).await.unwrap();
    assert_eq!(limited.len(), 1, "answers are bounded by bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_flipped_bit_is_found_or_harmless() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    let mut random = rng(3);
    let entries = filled(&path, &mut random).await;
    let mut found = 0;
    for round in 0..300 {
        let copied = dir.path().join(format!("copy-{round}"));
        copy(&path, &copied);
        let files = files(&copied);
        let file = &files[random.random_range(0..files.len())];
        let mut bytes = fs::read(file).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        // Mostly in what is used, sometimes behind it.
        let end = if round % 10 == 0 {
            bytes.len()
        } else {
            used + 1
        };
        let at = random.random_range(0..end);
        bytes[at] ^= 1 << random.random_range(0..8);
        fs::write(file, bytes).unwrap();
        let what = format!("flip in {} at {at}", file.display());
        found += usize::from(check(&copied, &entries, &what).await);
        fs::remove_dir_all(&copied).unwrap();
    }
    assert!(found > 200, "only {found} of 300 flips were found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_cut_or_zeroed_file_is_found() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    let mut random = rng(4);
    let entries = filled(&path, &mut random).await;
    for round in 0..120 {
        let copied = dir.path().join(format!("copy-{round}"));
        copy(&path, &copied);
        let files = files(&copied);
        let file = &files[random.random_range(0..files.len())];
        let mut bytes = fs::read(file).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        let at = random.random_range(0..=used);
        let what = format!("cut of {} at {at}", file.display());
        if round % 2 == 0 {
            bytes.truncate(at);
        } else {
            bytes[at..].fill(0);
        }
        fs::write(file, bytes).unwrap();
        assert!(
            check(&copied, &entries, &what).await,
            "{what} was not found"
        );
        fs::remove_dir_all(&copied).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_committed_is_never_taken_back() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    let entries = filled(&path, &mut rng(8)).await;
    let mut log = Log::open(&path, NODE, layout()).unwrap();
    let before = entries[entries.len() - 2].log_id;
    let refused = log.truncate_after(Some(before)).await.unwrap_err();
    assert!(refused.to_string().contains("old copy"), "{refused}");
    // The node ends, with all that it had.
    assert!(log.failure().is_some());
    log.close();
    drop(log);
    let mut log = Log::open(&path, NODE, layout()).unwrap();
    assert_eq!(all(&mut log).await, entries);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_missing_file_is_found_and_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    filled(&path, &mut rng(5)).await;
    let mut names: Vec<PathBuf> = files(&path);
    names.push(path.join("mark"));
    for (round, name) in names.iter().enumerate() {
        let copied = dir.path().join(format!("copy-{round}"));
        copy(&path, &copied);
        let gone = copied.join(name.file_name().unwrap());
        fs::remove_file(&gone).unwrap();
        let error = Log::open(&copied, NODE, layout())
            .err()
            .unwrap()
            .to_string();
        let name = gone.file_name().unwrap().to_str().unwrap();
        assert!(
            error.contains(name) && error.contains("cluster rejoin"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_segment_whose_name_was_lost_is_kept() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    let entries = filled(&path, &mut rng(8)).await;
    // What a power failure leaves that came before the new name was durable.
    let newest = files(&path).pop().unwrap();
    let spare = segment::spare_path(&path);
    fs::rename(&newest, &spare).unwrap();
    for _ in 0..2 {
        assert!(check(&path, &entries, "without its newest segment").await);
        assert!(spare.exists());
    }
    fs::rename(&spare, &newest).unwrap();
    fs::write(&spare, b"half made").unwrap();
    assert!(!check(&path, &entries, "with its newest segment").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_records_themselves_prove_what_was_durable() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    let mut log = create(&path);
    for index in 0..6 {
        append(&mut log, vec![entry(1, index, body(index, 100))]).await;
    }
    log.close();
    drop(log);
    // The mark of the last groups was lost with the power.
    let mut mark = segment::read_mark(&path).unwrap().unwrap();
    mark.synced = SEGMENT_HEADER as u64;
    for counter in [mark.counter + 1, mark.counter + 2] {
        mark.counter = counter;
        segment::write_mark(&segment::open_mark(&path).unwrap(), &mark).unwrap();
    }
    let span = record::span(100);
    for broken in 0..6 {
        let copied = dir.path().join(format!("copy-{broken}"));
        copy(&path, &copied);
        let file = files(&copied).remove(0);
        let mut bytes = fs::read(&file).unwrap();
        bytes[SEGMENT_HEADER + (broken * span) as usize + 70] ^= 4;
        fs::write(&file, bytes).unwrap();
        let opened = Log::open(&copied, NODE, layout());
        // The last group alone cannot be told from a torn one then.
        assert_eq!(opened.is_err(), broken < 5, "group {broken}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_torn_tail_is_cut_and_written_over() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    let mut log = create(&path);
    append(&mut log, vec![entry(1, 0, body(0, 100))]).await;
    log.close();
    drop(log);
    let acknowledged = [entry(1, 0, body(0, 100))];
    let mark = segment::read_mark(&path).unwrap().unwrap();
    // Two more records of a group that was never synced, torn at every place.
    let mut group = Vec::new();
    let synced = mark.synced;
    for index in 1..3 {
        let record = encode(&entry(1, index, body(index, 150))).unwrap();
        let position = synced + group.len() as u64;
        record.encode(mark.seed, position, synced, &mut group);
    }
    for torn in 0..group.len() {
        for hole in [false, true] {
            let copied = dir.path().join(format!("copy-{torn}-{hole}"));
            copy(&path, &copied);
            let mut bytes = group.clone();
            if hole {
                // Pages reach the disk in any order: the first is missing.
                bytes[..torn].fill(0);
            } else {
                bytes.truncate(torn);
            }
            let file = fs::OpenOptions::new()
                .write(true)
                .open(&files(&copied)[0])
                .unwrap();
            file.write_all_at(&bytes, synced).unwrap();
            let mut log = Log::open(&copied, NODE, layout()).unwrap();
            let mut found = all(&mut log).await;
            assert_eq!(found[..1], acknowledged, "torn at {torn}");
            let next = found.len() as u64;
            found.push(entry(2, next, body(9, 20)));
            append(&mut log, found[next as usize..].to_vec()).await;
            log.close();
            drop(log);
            let mut log = Log::open(&copied, NODE, layout()).unwrap();
            assert_eq!(all(&mut log).await, found, "torn at {torn}");
            assert_eq!(log.cut_at_start(), 0);
            log.close();
            drop(log);
            fs::remove_dir_all(&copied).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_nodes_log_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    drop(create(&path));
    let error = Log::open(&path, 9, layout()).err().unwrap().to_string();
    assert!(
        error.contains("node 0") && error.contains("node 9"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_mail_that_imitates_a_record_is_no_record() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    let mut log = create(&path);
    // A record as an attacker who knows the format but not the log's id makes it.
    let mut forged = vec![0; 64];
    let record = encode(&entry(9, 1, body(1, 10))).unwrap();
    record.encode(0, SEGMENT_HEADER as u64 + 56 + 64, u64::MAX, &mut forged);
    append(&mut log, vec![entry(1, 0, forged.clone().into())]).await;
    log.close();
    drop(log);
    let mut log = Log::open(&path, NODE, layout()).unwrap();
    assert_eq!(all(&mut log).await, [entry(1, 0, forged.into())]);
}
