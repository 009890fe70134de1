//! Entries as the bytes of an object, compressed and with a checksum.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::payload;

/// The most bytes that are unpacked from one object.
const MAX: usize = 1 << 30;
const LEVEL: i32 = 1;

/// A value as bytes.
pub(crate) fn pack<T: Serialize>(value: &T) -> Result<Bytes, String> {
    let plain = payload::encode(value).map_err(|failure| failure.to_string())?;
    let packed = zstd::bulk::compress(&plain, LEVEL).map_err(|error| error.to_string())?;
    let length = u32::try_from(plain.len()).map_err(|_| "it is too long".to_owned())?;
    let checked = [&length.to_le_bytes()[..], &packed].concat();
    let check = crc32fast::hash(&checked).to_le_bytes();
    Ok([&check[..], &checked].concat().into())
}

/// And back. What is damaged is said to be.
pub(crate) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let cut = || "it is cut off".to_owned();
    let (check, checked) = bytes.split_first_chunk::<4>().ok_or_else(cut)?;
    if crc32fast::hash(checked) != u32::from_le_bytes(*check) {
        return Err("its checksum does not match".into());
    }
    let (length, packed) = checked.split_first_chunk::<4>().ok_or_else(cut)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX {
        return Err("it is too long".into());
    }
    let plain = zstd::bulk::decompress(packed, length).map_err(|error| error.to_string())?;
    payload::decode(&plain).map_err(|failure| failure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_noticed() {
        let value: Vec<String> = (0..100).map(|n| format!("entry {n}")).collect();
        let packed = pack(&value).unwrap();
        assert_eq!(unpack::<Vec<String>>(&packed).unwrap(), value);
        for at in 0..packed.len() {
            let mut damaged = packed.to_vec();
            damaged[at] ^= 0x10;
            assert!(unpack::<Vec<String>>(&damaged).is_err(), "byte {at}");
            assert!(unpack::<Vec<String>>(&packed[..at]).is_err(), "cut at {at}");
        }
    }
}
