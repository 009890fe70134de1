//! ENVELOPE (RFC 3501 §7.4.2).

use super::text;

/// One address, or a mark of group syntax: without a host the mailbox is a
/// group's name, without both the group ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address<'a> {
    /// The display name.
    pub name: Option<&'a [u8]>,
    /// The source route of RFC 822, obsolete.
    pub route: Option<&'a [u8]>,
    /// The local part.
    pub mailbox: Option<&'a [u8]>,
    /// The domain.
    pub host: Option<&'a [u8]>,
}

/// The address fields of a header, in ENVELOPE's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressField {
    /// `From`
    From,
    /// `Sender`
    Sender,
    /// `Reply-To`
    ReplyTo,
    /// `To`
    To,
    /// `Cc`
    Cc,
    /// `Bcc`
    Bcc,
}

/// What ENVELOPE tells of a header. Values are as in the header, unfolded and
/// with encoded words left alone.
pub trait Envelope {
    /// `Date`
    fn date(&self) -> Option<&[u8]>;
    /// `Subject`
    fn subject(&self) -> Option<&[u8]>;
    /// The addresses of a field; none where it is absent. The writer itself
    /// puts From in the place of an absent Sender or Reply-To.
    fn addresses(&self, field: AddressField) -> impl Iterator<Item = Address<'_>>;
    /// `In-Reply-To`
    fn in_reply_to(&self) -> Option<&[u8]>;
    /// `Message-ID`
    fn message_id(&self) -> Option<&[u8]>;
}

pub(super) fn write(out: &mut Vec<u8>, envelope: &impl Envelope) {
    out.push(b'(');
    text::nstring(out, envelope.date());
    out.push(b' ');
    text::nstring(out, envelope.subject());
    for field in [
        AddressField::From,
        AddressField::Sender,
        AddressField::ReplyTo,
        AddressField::To,
        AddressField::Cc,
        AddressField::Bcc,
    ] {
        out.push(b' ');
        let written = addresses(out, envelope.addresses(field));
        if written {
            continue;
        }
        // RFC 3501 §7.4.2: Sender and Reply-To default to From.
        let from_instead = matches!(field, AddressField::Sender | AddressField::ReplyTo)
            && addresses(out, envelope.addresses(AddressField::From));
        if !from_instead {
            out.extend_from_slice(b"NIL");
        }
    }
    out.push(b' ');
    text::nstring(out, envelope.in_reply_to());
    out.push(b' ');
    text::nstring(out, envelope.message_id());
    out.push(b')');
}

/// Writes a list of addresses; false and nothing for none.
fn addresses<'a>(out: &mut Vec<u8>, addresses: impl Iterator<Item = Address<'a>>) -> bool {
    let mut open = false;
    for address in addresses {
        if !open {
            out.push(b'(');
        }
        open = true;
        out.push(b'(');
        text::nstring(out, address.name);
        out.push(b' ');
        text::nstring(out, address.route);
        out.push(b' ');
        text::nstring(out, address.mailbox);
        out.push(b' ');
        text::nstring(out, address.host);
        out.push(b')');
    }
    if open {
        out.push(b')');
    }
    open
}
