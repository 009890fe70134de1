//! The message crate's envelope and structure in the shape in which the
//! response writer takes them.

use postrider_message as message;
use postrider_proto::imap::response as wire;

/// An envelope.
#[derive(Clone, Copy)]
pub(crate) struct EnvelopeShape<'a>(pub(crate) &'a message::Envelope);

impl wire::Envelope for EnvelopeShape<'_> {
    fn date(&self) -> Option<&[u8]> {
        self.0.date.as_deref()
    }

    fn subject(&self) -> Option<&[u8]> {
        self.0.subject.as_deref()
    }

    fn addresses(&self, field: wire::AddressField) -> impl Iterator<Item = wire::Address<'_>> {
        let envelope = self.0;
        let list = match field {
            wire::AddressField::From => &envelope.from,
            wire::AddressField::Sender => &envelope.written_sender,
            wire::AddressField::ReplyTo => &envelope.written_reply_to,
            wire::AddressField::To => &envelope.to,
            wire::AddressField::Cc => &envelope.cc,
            wire::AddressField::Bcc => &envelope.bcc,
        };
        list.iter().map(|address| wire::Address {
            name: address.name.as_deref(),
            route: address.adl.as_deref(),
            mailbox: address.mailbox.as_deref(),
            host: address.host.as_deref(),
        })
    }

    fn in_reply_to(&self) -> Option<&[u8]> {
        self.0.in_reply_to.as_deref()
    }

    fn message_id(&self) -> Option<&[u8]> {
        self.0.message_id.as_deref()
    }
}

/// A part of a message.
#[derive(Clone, Copy)]
pub(crate) struct PartShape<'a>(pub(crate) &'a message::Part);

fn params(params: &[message::Param]) -> impl Iterator<Item = (&[u8], &[u8])> {
    params
        .iter()
        .map(|param| (&param.name[..], &param.value[..]))
}

impl<'a> wire::Part for PartShape<'a> {
    type Envelope = EnvelopeShape<'a>;

    fn media_type(&self) -> &[u8] {
        &self.0.media_type
    }

    fn subtype(&self) -> &[u8] {
        &self.0.subtype
    }

    fn params(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        params(&self.0.params)
    }

    fn id(&self) -> Option<&[u8]> {
        self.0.id.as_deref()
    }

    fn description(&self) -> Option<&[u8]> {
        self.0.description.as_deref()
    }

    fn encoding(&self) -> Option<&[u8]> {
        self.0.encoding.as_deref()
    }

    fn octets(&self) -> u64 {
        self.0.octets()
    }

    fn lines(&self) -> u64 {
        self.0.lines
    }

    fn md5(&self) -> Option<&[u8]> {
        self.0.md5.as_deref()
    }

    fn disposition(&self) -> Option<wire::Disposition<'_, impl Iterator<Item = (&[u8], &[u8])>>> {
        self.0
            .disposition
            .as_ref()
            .map(|disposition| wire::Disposition {
                kind: &disposition.kind[..],
                params: params(&disposition.params),
            })
    }

    fn languages(&self) -> impl Iterator<Item = &[u8]> {
        self.0.language.iter().map(|language| &language[..])
    }

    fn location(&self) -> Option<&[u8]> {
        self.0.location.as_deref()
    }

    fn children(&self) -> impl Iterator<Item = Self> {
        let parts: &'a [message::Part] = if self.0.is_multipart() {
            &self.0.parts
        } else {
            &[]
        };
        parts.iter().map(Self)
    }

    fn message(&self) -> Option<(EnvelopeShape<'a>, Self)> {
        let envelope = self.0.envelope.as_ref()?;
        Some((EnvelopeShape(envelope), Self(self.0.message()?)))
    }
}
