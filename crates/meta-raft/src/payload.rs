//! Commands, queries and what they answer as bytes: a version byte and
//! MessagePack with field names, so that fields may be added.

use bytes::Bytes;
use postrider_meta::Error as MetaError;
use postrider_rpc::Failure;
use serde::Serialize;
use serde::de::DeserializeOwned;

const VERSION: u8 = 1;

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Bytes, Failure> {
    let mut out = vec![VERSION];
    let mut writer = rmp_serde::Serializer::new(&mut out).with_struct_map();
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
        MetaError::Failed(text) => Failure::Failed(text),
    }
}

/// And back.
pub(crate) fn error(failure: Failure) -> MetaError {
    match failure {
        Failure::Unavailable(text) => MetaError::Unavailable(text),
        Failure::NotLeader(_) => MetaError::Unavailable(failure.to_string()),
        failure => MetaError::Failed(failure.to_string()),
    }
}
