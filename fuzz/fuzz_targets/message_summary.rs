//! Any bytes as a message: the summary must not depend on the chunks, must be
//! read back as it was written, and places must lie within the message. Also runs
//! the header, text and transfer helpers over the same bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider_message::transfer::{Decoder, TransferEncoding};
use postrider_message::{Part, Summarizer, Summary, date, header, text, thread};

fn summarize(message: &[u8], chunk: usize) -> Summary {
    let mut summarizer = Summarizer::new();
    for piece in message.chunks(chunk) {
        summarizer.push(piece);
    }
    summarizer.finish()
}

fn check(part: &Part) {
    assert!(part.header_start <= part.body_start && part.body_start <= part.body_end);
    assert!(!part.media_type.is_empty() && !part.subtype.is_empty());
    assert!(!part.is_multipart() || !part.parts.is_empty());
    let mut from = part.body_start;
    for inner in &part.parts {
        assert!(from <= inner.header_start && inner.body_end <= part.body_end);
        from = inner.body_end;
        check(inner);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&chunk, message)) = data.split_first() else {
        return;
    };
    let whole = summarize(message, usize::MAX);
    assert_eq!(summarize(message, usize::from(chunk).max(1)), whole);
    assert_eq!(whole.size, message.len() as u64);
    let stored = whole.encode_to_bytes();
    assert_eq!(Summary::from_bytes(stored).as_ref(), Ok(&whole));
    let root = whole.structure().unwrap();
    check(&root);
    assert_eq!(root.body_end, whole.size);
    whole.envelope().unwrap();
    whole.thread().unwrap();
    let _ = Summary::from_bytes(bytes::Bytes::copy_from_slice(data)).map(|s| {
        let _ = (s.envelope(), s.structure(), s.thread());
    });

    let fields: usize = header::fields(message).map(|f| f.raw.len()).sum();
    assert!(fields <= message.len());
    let decoded = text::decode_words(message);
    thread::base_subject(&decoded);
    let _ = date::parse(message);
    for encoding in [
        TransferEncoding::Identity,
        TransferEncoding::Base64,
        TransferEncoding::QuotedPrintable,
    ] {
        let (mut once, mut cut) = (Vec::new(), Vec::new());
        let mut decoder = Decoder::new(encoding);
        decoder.push(message, &mut once);
        decoder.finish(&mut once);
        // What is held back of very long runs of white space depends on the chunks.
        if message.len() < 1000 {
            let mut decoder = Decoder::new(encoding);
            for piece in message.chunks(usize::from(chunk).max(1)) {
                decoder.push(piece, &mut cut);
            }
            decoder.finish(&mut cut);
            assert_eq!(once, cut);
        }
    }
});
