//! Commands, queries and what they answer as bytes: a version byte and
//! MessagePack with field names, so that fields may be added.

use bytes::Bytes;
use postrider_meta::Error as MetaError;
use postrider_rpc::Failure;
use rmp_serde::config::BytesMode;
use serde::Serialize;
use serde::de::DeserializeOwned;

const VERSION: u8 = 1;

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Bytes, Failure> {
    let mut out = vec![VERSION];
    // Ids and checksums as bytes, not as arrays of numbers; both forms are read.
    let mut writer = rmp_serde::Serializer::new(&mut out)
        .with_struct_map()
        .with_bytes(BytesMode::ForceAll);
    value
        .serialize(&mut writer)
        .map_err(|error| Failure::Failed(format!("cannot encode: {error}")))?;
    Ok(out.into())
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => rmp_serde::from_slice(rest)
            .map_err(|error| Failure::Unsupported(format!("unreadable payload: {error}"))),
        Some((version, _)) => Err(Failure::Unsupported(format!(
            "payload of version {version}; this node understands {VERSION}"
        ))),
        None => Err(Failure::Unsupported("empty payload".into())),
    }
}

/// The domain's error as one of the table.
pub(crate) fn failure(error: MetaError) -> Failure {
    match error {
        MetaError::Unavailable(text) => Failure::Unavailable(text),
        MetaError::Full(text) => Failure::Full(text),
        MetaError::Failed(text) => Failure::Failed(text),
    }
}

/// And back.
pub(crate) fn error(failure: Failure) -> MetaError {
    match failure {
        Failure::Unavailable(text) => MetaError::Unavailable(text),
        Failure::Full(text) => MetaError::Full(text),
        Failure::NotLeader(_) => MetaError::Unavailable(failure.to_string()),
        failure => MetaError::Failed(failure.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use postrider_types::BodyId;

    use super::*;

    #[test]
    fn ids_travel_as_bytes_and_are_read_as_numbers_too() {
        let id = BodyId::from_bytes([0xfe; 16]);
        let encoded = encode(&id).unwrap();
        // The version, and the head of 16 bytes.
        assert_eq!(encoded.len(), 1 + 2 + 16);
        assert_eq!(decode::<BodyId>(&encoded).unwrap(), id);
        let numbers = [vec![VERSION], rmp_serde::to_vec_named(&id).unwrap()].concat();
        assert!(numbers.len() > encoded.len());
        assert_eq!(decode::<BodyId>(&numbers).unwrap(), id);
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for bytes in [&[][..], &[VERSION], &[VERSION + 1, 0], &[VERSION, 0xc1]] {
            let refused = decode::<BodyId>(bytes);
            assert!(matches!(refused, Err(Failure::Unsupported(_))));
        }
    }
}
