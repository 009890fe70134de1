//! PROXY headers: never a panic, never a byte beyond the header, and the same
//! verdict however the bytes are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider_net::proxy::{Parsed, parse};

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    // As the listener reads: what is asked for, no more.
    let mut have = 0;
    let read = loop {
        match parse(&bytes[..have]) {
            Ok(Parsed::Incomplete(total)) => {
                assert!(total > have);
                if total > bytes.len() {
                    break None;
                }
                have = total;
            }
            Ok(Parsed::Complete(header, length)) => {
                assert_eq!(length, have);
                break Some(Ok(header));
            }
            Err(error) => break Some(Err(error)),
        }
    };
    match (read, whole) {
        (Some(Ok(header)), Ok(Parsed::Complete(other, _))) => assert_eq!(header, other),
        (Some(Err(_)), Err(_)) => {}
        (None, Ok(Parsed::Incomplete(_)) | Err(_)) => {}
        (read, whole) => panic!("{read:?} but {whole:?}"),
    }
});
