//! [`Summary`]: everything about a message that is asked for without its body,
//! and its stored form: a version byte and protobuf. The envelope and the
//! structure stay encoded until they are asked for, and all byte fields share
//! the row's buffer.

use bytes::{BufMut, Bytes, BytesMut};
use postrider_types::Millis;
use prost::Message as _;

use crate::{Envelope, Part};

/// The version byte that is written. Readers take this one.
const VERSION: u8 = 1;

/// Why stored bytes are no summary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Written by another version.
    #[error("the message summary has version {0}, this node reads version 1: upgrade the node")]
    Version(u8),
    /// Empty or not a summary: the row is damaged.
    #[error("the message summary is damaged ({0}): check the metadata store")]
    Damaged(String),
}

impl From<prost::DecodeError> for Error {
    fn from(error: prost::DecodeError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// How much of the message's header a summary holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum KeptHeader {
    /// All of it, with the empty line at its end if the message has one.
    Complete = 0,
    /// All fields of [`Summary::COMMON_FIELDS`]; the header is too long.
    Common = 1,
    /// Nothing; the header is far too long.
    Nothing = 2,
}

/// What is kept of a message. Sizes and offsets count its body, that is all of
/// it but the row's prefix.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Summary {
    /// The length in bytes.
    #[prost(uint64, tag = "1")]
    pub size: u64,
    /// The length of the header in bytes, with the empty line at its end.
    #[prost(uint64, tag = "2")]
    pub header_length: u64,
    /// Lines, header included; an unfinished last line counts.
    #[prost(uint64, tag = "3")]
    pub lines: u64,
    /// How much of the header [`Summary::header`] is.
    #[prost(enumeration = "KeptHeader", tag = "4")]
    pub kept: i32,
    /// The raw header, or what is kept of it.
    #[prost(bytes = "bytes", tag = "5")]
    pub header: Bytes,
    /// An encoded [`Envelope`].
    #[prost(bytes = "bytes", tag = "6")]
    pub(crate) encoded_envelope: Bytes,
    /// An encoded [`Part`].
    #[prost(bytes = "bytes", tag = "7")]
    pub(crate) encoded_structure: Bytes,
    /// The date in the Date field, if it is one and not before 1970.
    #[prost(message, optional, tag = "8")]
    pub sent: Option<SentDate>,
    /// An encoded [`Thread`].
    #[prost(bytes = "bytes", tag = "9")]
    pub(crate) encoded_thread: Bytes,
    /// How many Received fields the header has.
    #[prost(uint32, tag = "10")]
    pub received_count: u32,
    /// The values of the Delivered-To fields in lower case, at most 100: an
    /// address that comes again is a loop.
    #[prost(string, repeated, tag = "11")]
    pub delivered_to: Vec<String>,
}

/// The moment in a Date field.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct SentDate {
    /// Milliseconds since the Unix epoch, UTC.
    #[prost(uint64, tag = "1")]
    pub millis: u64,
    /// Its zone, minutes east of UTC.
    #[prost(sint32, tag = "2")]
    pub zone: i32,
}

impl SentDate {
    /// The moment.
    pub fn at(&self) -> Millis {
        Millis(self.millis)
    }

    /// The day as it was written, in the sender's zone, as days since 1970-01-01:
    /// what SENTON compares (RFC 9051 §6.4.4).
    pub fn day(&self) -> i64 {
        let seconds = i64::try_from(self.millis / 1000).unwrap_or(i64::MAX);
        seconds
            .saturating_add(i64::from(self.zone) * 60)
            .div_euclid(86_400)
    }
}

/// What ties a message to its thread (RFC 5256).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Thread {
    /// The Message-ID without brackets.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub message_id: Option<Bytes>,
    /// The ids in In-Reply-To without brackets.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub in_reply_to: Vec<Bytes>,
    /// The ids in References without brackets, oldest first; of more than 100 the
    /// first and the last 99.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub references: Vec<Bytes>,
    /// The base subject (RFC 5256 §2.1) in UTF-8, at most 512 bytes.
    #[prost(string, tag = "4")]
    pub base_subject: String,
    /// The subject says that this is a reply or forwarded.
    #[prost(bool, tag = "5")]
    pub is_reply: bool,
}

impl Summary {
    /// Fields that are kept even of a header that is too long to keep, in lower case.
    pub const COMMON_FIELDS: &[&str] = &[
        "bcc",
        "cc",
        "content-type",
        "date",
        "delivered-to",
        "from",
        "importance",
        "in-reply-to",
        "list-id",
        "list-post",
        "list-unsubscribe",
        "message-id",
        "priority",
        "references",
        "reply-to",
        "return-path",
        "sender",
        "subject",
        "to",
        "x-priority",
    ];

    /// The stored form.
    pub fn encode_to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(1 + self.encoded_len());
        out.put_u8(VERSION);
        self.encode_raw(&mut out);
        out.freeze()
    }

    /// Reads the stored form. Copies nothing but the delivered-to list.
    pub fn from_bytes(stored: Bytes) -> Result<Self, Error> {
        match stored.first() {
            Some(&VERSION) => Ok(<Self as prost::Message>::decode(stored.slice(1..))?),
            Some(&other) => Err(Error::Version(other)),
            None => Err(Error::Damaged("empty".into())),
        }
    }

    /// The envelope; decoded on each call.
    pub fn envelope(&self) -> Result<Envelope, Error> {
        Ok(Envelope::decode(self.encoded_envelope.clone())?)
    }

    /// The MIME structure; decoded on each call.
    pub fn structure(&self) -> Result<Part, Error> {
        Ok(Part::decode(self.encoded_structure.clone())?)
    }

    /// The thread keys; decoded on each call.
    pub fn thread(&self) -> Result<Thread, Error> {
        Ok(Thread::decode(self.encoded_thread.clone())?)
    }

    /// Whether [`Summary::header`] is the whole header.
    pub fn header_complete(&self) -> bool {
        self.kept() == KeptHeader::Complete
    }

    /// Whether [`Summary::header`] has every field with one of these names (in
    /// any case) that the message has. If not, read the header from the body.
    pub fn header_covers<'a>(&self, mut names: impl Iterator<Item = &'a [u8]>) -> bool {
        let common = |name: &[u8]| {
            Self::COMMON_FIELDS
                .iter()
                .any(|c| name.eq_ignore_ascii_case(c.as_bytes()))
        };
        match self.kept() {
            KeptHeader::Complete => true,
            KeptHeader::Common => names.all(common),
            KeptHeader::Nothing => false,
        }
    }
}
