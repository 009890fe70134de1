//! [`Content`]: what is sent of an entry: header fields that were put before the
//! body, and the body ([`Text`]), in 7 bits where that is asked for.

use std::collections::VecDeque;

use bytes::Bytes;
use postrider_body::{Error, Reader};
use postrider_message::ListFieldRemover;
use postrider_message::seven_bit::{Converter, Plan};
use postrider_relay::{Source, SourceError};

/// The body of an entry, as it is sent.
pub(crate) struct Text {
    body: Reader,
    /// Takes out what other mailing lists have put there.
    remover: Option<ListFieldRemover>,
}

impl Text {
    /// A copy of a mailing list has that list's fields alone.
    pub(crate) fn new(body: Reader, of_list: bool) -> Self {
        Self {
            body,
            remover: of_list.then(ListFieldRemover::default),
        }
    }

    /// The next piece; None at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let piece = self.body.next_chunk().await?;
            let Some(remover) = &mut self.remover else {
                return Ok(piece);
            };
            let mut out = Vec::new();
            match piece {
                Some(piece) => remover.push(&piece, &mut out),
                None => remover.finish(&mut out),
            }
            // All that comes from now on stays.
            self.remover.take_if(|remover| remover.is_done());
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
    }
}

/// The bytes of a message, in pieces.
pub(crate) struct Content {
    fields: VecDeque<Bytes>,
    body: Text,
    converter: Option<Converter>,
    size: u64,
}

impl Content {
    /// `fields`, header fields that end with CRLF, and then the body, which has
    /// `size` bytes once it is converted by `plan`.
    pub(crate) fn new<const N: usize>(
        fields: [Bytes; N],
        body: Text,
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
        let next = self.body.next().await.map_err(SourceError::new)?;
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
