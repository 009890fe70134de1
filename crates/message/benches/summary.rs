//! What a summary costs: scanning messages on delivery, decoding rows on FETCH.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use postrider_message::{Summarizer, Summary};

const HEADER: &str = "Received: from mail.example.org (mail.example.org [192.0.2.1])\r\n\
    \tby mx.example.test with ESMTPS id 12345 for <ann@example.test>;\r\n\
    \tSun, 22 Nov 2026 19:02:47 +0000\r\n\
    From: \"Smith, John\" <john@example.org>\r\nTo: Ann <ann@example.test>, bob@example.test\r\n\
    Subject: Re: [list] =?utf-8?q?caf=C3=A9?= at noon\r\n\
    Date: Sun, 22 Nov 2026 19:02:40 +0000\r\nMessage-ID: <abc.123@example.org>\r\n\
    In-Reply-To: <xyz@example.test>\r\nReferences: <a@example.test> <xyz@example.test>\r\n\
    MIME-Version: 1.0\r\nUser-Agent: Mozilla Thunderbird\r\n";

fn plain(size: usize) -> Vec<u8> {
    let line = "The quick brown fox jumps over the lazy dog, and does it again and again.\r\n";
    let mut text = format!("{HEADER}Content-Type: text/plain; charset=utf-8\r\n\r\n");
    text.push_str(&line.repeat(size.saturating_sub(text.len()) / line.len()));
    text.into_bytes()
}

fn with_attachment(size: usize) -> Vec<u8> {
    let line = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\r\n";
    let mut text = format!(
        "{HEADER}Content-Type: multipart/mixed; boundary=\"----=_Part_1\"\r\n\r\n\
         ------=_Part_1\r\nContent-Type: text/plain\r\n\r\nhello\r\n\
         ------=_Part_1\r\nContent-Type: application/pdf; name=\"x.pdf\"\r\n\
         Content-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"x.pdf\"\r\n\r\n"
    );
    text.push_str(&line.repeat(size.saturating_sub(text.len()) / line.len()));
    text.push_str("------=_Part_1--\r\n");
    text.into_bytes()
}

fn summarize(message: &[u8]) -> Summary {
    let mut summarizer = Summarizer::new();
    for chunk in message.chunks(16 * 1024) {
        summarizer.push(chunk);
    }
    summarizer.finish()
}

/// All benchmarks.
fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("scan");
    for (name, message) in [
        ("plain 4 KB", plain(4096)),
        ("plain 1 MB", plain(1 << 20)),
        ("attachment 1 MB", with_attachment(1 << 20)),
    ] {
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| summarize(black_box(&message)).encode_to_bytes())
        });
    }
    group.finish();
    let stored = summarize(&with_attachment(4096)).encode_to_bytes();
    let read = || Summary::from_bytes(black_box(&stored).clone()).expect("it was encoded above");
    c.bench_function("decode", |b| b.iter(read));
    c.bench_function("decode envelope", |b| b.iter(|| read().envelope()));
    c.bench_function("decode structure", |b| b.iter(|| read().structure()));
}

criterion_group!(all, benches);
criterion_main!(all);
