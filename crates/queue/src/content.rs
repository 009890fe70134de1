//! [`Content`]: what is sent of an entry: header fields that were put before the
//! body, and the body, in 7 bits where that is asked for.

use std::collections::VecDeque;

use bytes::Bytes;
use postrider_body::Reader;
use postrider_message::seven_bit::{Converter, Plan};
use postrider_relay::{Source, SourceError};

/// The bytes of a message, in pieces.
pub(crate) struct Content {
    fields: VecDeque<Bytes>,
    body: Reader,
    converter: Option<Converter>,
    size: u64,
}

impl Content {
    /// `fields`, header fields that end with CRLF, and then the body, which has
    /// `size` bytes once it is converted by `plan`.
    pub(crate) fn new<const N: usize>(
        fields: [Bytes; N],
        body: Reader,
        size: u64,
        plan: Option<Plan>,
    ) -> Self {
        let fields: VecDeque<Bytes> = fields.into_iter().filter(|it| !it.is_empty()).collect();
        let before: usize = fields.iter().map(Bytes::len).sum();
        Self {
            size: before as u64 + size,
            fields,
            body,
            converter: plan.map(Converter::new),
        }
    }
}

impl Source for Content {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        if let Some(field) = self.fields.pop_front() {
            return Ok(Some(field));
        }
        let next = self.body.next_chunk().await.map_err(SourceError::new)?;
        let Some(converter) = &mut self.converter else {
            return Ok(next);
        };
        let mut out = Vec::new();
        match next {
            Some(piece) => converter.push(&piece, &mut out),
            None => {
                if let Some(converter) = self.converter.take() {
                    converter.finish(&mut out);
                }
                if out.is_empty() {
                    return Ok(None);
                }
            }
        }
        Ok(Some(out.into()))
    }

    fn size(&self) -> u64 {
        self.size
    }
}
