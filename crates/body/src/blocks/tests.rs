//! The block form: any body comes back, any range of it, and damage is found.

use proptest::prelude::*;

use super::*;

/// The object of `body`, written in pieces of `step`, and the body's checksum.
fn write(body: &[u8], step: usize) -> (Vec<u8>, [u8; 32]) {
    let mut writer = Writer::new();
    let mut out = Vec::new();
    for piece in body.chunks(step) {
        writer.push(piece, &mut out);
    }
    let checksum = writer.finish(&mut out);
    (out.concat(), checksum)
}

/// Reads the blocks `numbers` out of `object`.
fn read(
    object: &[u8],
    size: u64,
    checksum: &[u8; 32],
    numbers: Range<u64>,
) -> Result<Vec<u8>, String> {
    let slice = |r: &Range<u64>| object[r.start as usize..r.end as usize].to_vec();
    let length = object.len() as u64;
    let tail = tail(size, length).ok_or("too short")?;
    let table = Table::read(&slice(&tail), size, checksum, length)?;
    let mut plain = Vec::new();
    let stored = table.stored(numbers.clone()).ok_or("no such block")?;
    for (number, range) in numbers.zip(stored) {
        plain.extend_from_slice(&table.decode(number, &slice(&range).into())?);
    }
    Ok(plain)
}

/// Text, noise, or noise after text.
fn body() -> impl Strategy<Value = Vec<u8>> {
    (0usize..400_000, 0usize..=2, any::<u64>()).prop_map(|(size, kind, seed)| {
        let mut noise = vec![0; size];
        blake3::Hasher::new()
            .update(&seed.to_le_bytes())
            .finalize_xof()
            .fill(&mut noise);
        let text = b"Postrider carries the mail. ".iter().copied().cycle();
        match kind {
            0 => noise,
            1 => text.take(size).collect(),
            _ => text
                .take(size / 2)
                .chain(noise.into_iter().skip(size / 2))
                .collect(),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_body_and_any_blocks_of_it_come_back(
        body in body(), step in 1usize..100_000, at in any::<(u16, u16)>(),
    ) {
        let (object, checksum) = write(&body, step);
        let size = body.len() as u64;
        prop_assert_eq!(checksum, *blake3::hash(&body).as_bytes());
        let count = size.div_ceil(BLOCK);
        prop_assert_eq!(read(&object, size, &checksum, 0..count), Ok(body.clone()));
        let a = u64::from(at.0) % (count + 1);
        let b = u64::from(at.1) % (count + 1);
        let (a, b) = (a.min(b), a.max(b));
        let wanted = &body[((a * BLOCK) as usize).min(body.len())..((b * BLOCK) as usize).min(body.len())];
        prop_assert_eq!(read(&object, size, &checksum, a..b), Ok(wanted.to_vec()));
        prop_assert!(read(&object, size, &checksum, 0..count + 1).is_err());
    }

    #[test]
    fn damage_is_found(body in body(), flip in any::<u32>(), bit in 0u8..8, cut in any::<u32>()) {
        let (object, checksum) = write(&body, 65_536);
        let size = body.len() as u64;
        let count = size.div_ceil(BLOCK);
        let mut damaged = object.clone();
        // The header at the start is for people; its copy at the end is checked.
        let at = HEADER.len() + flip as usize % (object.len() - HEADER.len());
        damaged[at] ^= 1 << bit;
        prop_assert!(read(&damaged, size, &checksum, 0..count).is_err());
        let shorter = &object[..cut as usize % object.len()];
        prop_assert!(read(shorter, size, &checksum, 0..count).is_err());
        // Another body's object under this body's key.
        let (other, _) = write(&[&body[..], b"x"].concat(), 65_536);
        prop_assert!(read(&other, size, &checksum, 0..count).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(tail_bytes in prop::collection::vec(any::<u8>(), 0..300), size in any::<u64>(), length in any::<u64>()) {
        let _ = tail(size, length);
        let _ = Table::read(&tail_bytes, size, &[0; 32], length);
    }
}

#[test]
fn text_shrinks_and_noise_costs_next_to_nothing() {
    let text = b"Postrider carries the mail. ".repeat(40_000);
    assert!(write(&text, 8192).0.len() < text.len() / 10);
    let mut noise = vec![0; 1 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    assert!(write(&noise, 8192).0.len() < noise.len() + 1024);
}
