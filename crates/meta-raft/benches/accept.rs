//! What one node on disk reaches: messages of 4 KB accepted from 50 tasks, and
//! the time of a linearizable query. Prints; asserts nothing about speed.
//!
//! `POSTRIDER_BENCH_DIR` sets the folder, `POSTRIDER_BENCH_SECONDS` the time.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use postrider_meta_raft::Settings;
use support::{account, client, count, message, start};
use tempfile::TempDir;

const TASKS: usize = 50;
const QUERIES: u32 = 2000;

#[tokio::main]
async fn main() {
    let seconds: f64 =
        std::env::var("POSTRIDER_BENCH_SECONDS").map_or(5.0, |seconds| seconds.parse().unwrap());
    let dir = match std::env::var_os("POSTRIDER_BENCH_DIR") {
        Some(dir) => TempDir::new_in(dir).unwrap(),
        None => TempDir::new().unwrap(),
    };
    let node = start(Settings {
        dir: dir.path().to_owned(),
        ..Settings::default()
    })
    .await;
    let meta = client(node.clone());
    let alice = account(&meta).await;
    let began = Instant::now();
    let tasks = (0..TASKS).map(|_| {
        let meta = meta.clone();
        tokio::spawn(async move {
            let mut done = 0;
            while began.elapsed().as_secs_f64() < seconds {
                meta.run(message(alice, 4096)).await.unwrap().0.unwrap();
                done += 1;
            }
            done
        })
    });
    let done = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    let done: u32 = done.into_iter().map(|done| done.unwrap()).sum();
    let rate = f64::from(done) / began.elapsed().as_secs_f64();
    println!("Accept of 4 KB from {TASKS} tasks: {rate:.0} a second");
    let began = Instant::now();
    for _ in 0..QUERIES {
        count(&meta, alice).await;
    }
    let each = began.elapsed() / QUERIES;
    println!("linearizable query: {} us", each.as_micros());
    node.shutdown().await.unwrap();
}
