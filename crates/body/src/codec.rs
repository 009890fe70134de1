//! The stored form of a small body, inline or in a pack: the bytes as they are,
//! or one zstd frame. Checked as a whole against its BLAKE3 on each read.

use std::cell::RefCell;

use bytes::Bytes;
use postrider_meta::Encoding;
use zstd::bulk::{Compressor, Decompressor};

/// zstd's default: text shrinks well, at several hundred MB a second.
const LEVEL: i32 = 3;

/// No small body is larger, whatever the row says: the inline limit's maximum.
const MAX_SMALL: u64 = 1 << 20;

thread_local! {
    // Contexts are large and take longer to set up than a small body to decode.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// `plain` as one zstd frame, if that saves at least an eighth.
pub(crate) fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    let packed = COMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Compressor::new(LEVEL).ok();
        }
        slot.as_mut()?.compress(plain).ok()
    })?;
    (packed.len() <= plain.len() - plain.len() / 8).then_some(packed)
}

/// Decodes one zstd frame of exactly `size` decoded bytes.
pub(crate) fn decompress(frame: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let plain = DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Some(Decompressor::new().map_err(|e| e.to_string())?);
        }
        let Some(decompressor) = slot.as_mut() else {
            return Err("no decompressor".into());
        };
        decompressor
            .decompress(frame, size)
            .map_err(|e| e.to_string())
    })?;
    if plain.len() != size {
        return Err(format!(
            "{} bytes came out where {size} went in",
            plain.len()
        ));
    }
    Ok(plain)
}

/// Decodes a small body and checks it. The text says what is wrong.
pub(crate) fn decode(
    stored: &Bytes,
    encoding: Encoding,
    size: u64,
    checksum: &[u8; 32],
) -> Result<Bytes, String> {
    let plain = match encoding {
        Encoding::Identity => stored.clone(),
        Encoding::Zstd if size <= MAX_SMALL => decompress(stored, size as usize)?.into(),
        Encoding::Zstd => return Err(format!("a single frame cannot hold {size} bytes")),
        Encoding::Blocks => return Err("blocks do not stand in a pack".into()),
    };
    if plain.len() as u64 != size {
        return Err(format!("{} bytes instead of {size}", plain.len()));
    }
    if blake3::hash(&plain) != *checksum {
        return Err("the checksum does not match".into());
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_back_and_any_flipped_bit_is_found() {
        let plain = Bytes::from("Subject: hello\r\n\r\n".repeat(100));
        let checksum = *blake3::hash(&plain).as_bytes();
        let size = plain.len() as u64;
        let packed = Bytes::from(compress(&plain).unwrap());
        assert!(packed.len() < plain.len() / 4);
        for (stored, encoding) in [
            (plain.clone(), Encoding::Identity),
            (packed, Encoding::Zstd),
        ] {
            assert_eq!(
                decode(&stored, encoding, size, &checksum),
                Ok(plain.clone())
            );
            for bit in 0..stored.len() * 8 {
                let mut damaged = stored.to_vec();
                damaged[bit / 8] ^= 1 << (bit % 8);
                let read = decode(&damaged.into(), encoding, size, &checksum);
                // A bit of the frame header may not matter; wrong bytes never pass.
                assert!(read.is_err() || read == Ok(plain.clone()), "bit {bit}");
            }
            assert!(decode(&stored.slice(1..), encoding, size, &checksum).is_err());
        }
    }

    #[test]
    fn what_does_not_shrink_stays_as_it_is() {
        let noise: Vec<u8> = blake3::Hasher::new().finalize_xof().take(10_000);
        assert_eq!(compress(&noise), None);
    }

    trait Take {
        fn take(self, n: usize) -> Vec<u8>;
    }
    impl Take for blake3::OutputReader {
        fn take(mut self, n: usize) -> Vec<u8> {
            let mut bytes = vec![0; n];
            self.fill(&mut bytes);
            bytes
        }
    }
}
