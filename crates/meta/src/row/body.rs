//! Rows of bodies and of the objects that hold them.

use bytes::Bytes;
use postrider_kv as kv;
use postrider_types::{BodyId, Millis};

use crate::view::{BodyView, Encoding, ObjectView, Place};

/// A body. Its summary and its inline bytes have rows of their own.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Body {
    /// Its length, decoded.
    #[prost(uint64, tag = "1")]
    pub(crate) size: u64,
    /// BLAKE3 of the decoded bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) checksum: Bytes,
    /// 0 identity, 1 zstd, 2 blocks.
    #[prost(uint32, tag = "3")]
    pub(crate) encoding: u32,
    /// Messages and entries of the queue that name it; never zero.
    #[prost(uint64, tag = "4")]
    pub(crate) references: u64,
    /// The object that holds it; empty for inline.
    #[prost(string, tag = "5")]
    pub(crate) object: String,
    /// Its first byte in the object.
    #[prost(uint64, tag = "6")]
    pub(crate) offset: u64,
    /// Its stored bytes, in the object or inline.
    #[prost(uint64, tag = "7")]
    pub(crate) length: u64,
}

/// An encoding as rows hold it.
pub(crate) fn encoding_code(encoding: Encoding) -> u32 {
    match encoding {
        Encoding::Identity => 0,
        Encoding::Zstd => 1,
        Encoding::Blocks => 2,
    }
}

impl Body {
    /// Whether its bytes stand in the metadata store.
    pub(crate) fn is_inline(&self) -> bool {
        self.object.is_empty()
    }

    /// Where its bytes lie.
    pub(crate) fn place(&self) -> Place {
        match self.is_inline() {
            true => Place::Inline,
            false => Place::Object {
                key: self.object.clone(),
                offset: self.offset,
                length: self.length,
            },
        }
    }

    /// The body as queries show it.
    pub(crate) fn view(&self, id: BodyId, inline: Option<Bytes>) -> kv::Result<BodyView> {
        let damaged = |reason: &str| kv::Error::Value {
            key: kv::key::escape(&crate::key::body(id)),
            reason: reason.into(),
        };
        Ok(BodyView {
            id,
            size: self.size,
            checksum: self
                .checksum
                .as_ref()
                .try_into()
                .map_err(|_| damaged("a checksum has 32 bytes"))?,
            encoding: match self.encoding {
                0 => Encoding::Identity,
                1 => Encoding::Zstd,
                2 => Encoding::Blocks,
                _ => return Err(damaged("unknown encoding")),
            },
            place: self.place(),
            inline,
        })
    }
}

/// An object of the object store that holds, or held, bodies.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Object {
    /// Its length in bytes.
    #[prost(uint64, tag = "1")]
    pub(crate) length: u64,
    /// Stored bytes of the bodies that live in it.
    #[prost(uint64, tag = "2")]
    pub(crate) live: u64,
    /// Bodies that live in it.
    #[prost(uint64, tag = "3")]
    pub(crate) bodies: u64,
    /// Since when no body lives in it.
    #[prost(uint64, optional, tag = "4")]
    pub(crate) dead_since: Option<u64>,
}

impl Object {
    /// Whether it wastes more than half of its bytes, and is not dead.
    pub(crate) fn is_half_empty(&self) -> bool {
        self.bodies > 0 && self.live.saturating_mul(2) < self.length
    }

    /// The object as queries show it.
    pub(crate) fn view(&self, key: String) -> ObjectView {
        ObjectView {
            key,
            length: self.length,
            live: self.live,
            dead_since: self.dead_since.map(Millis),
        }
    }
}

/// Which object store belongs to the metadata.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoreName {
    /// Its id: 32 hexadecimal digits.
    #[prost(string, tag = "1")]
    pub(crate) id: String,
}

/// A body in an object. Its offset stands in the key.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Content {
    /// The body's id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) body: Bytes,
}
