//! Parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152, RFC 3030),
//! SMTPUTF8 (RFC 6531), AUTH (RFC 4954), REQUIRETLS (RFC 8689), RET, ENVID, NOTIFY,
//! ORCPT (RFC 3461).

use super::command::Error;
use super::path::Mailbox;
use super::xtext;

/// The most bytes of ENVID (RFC 3461 §4.4).
const MAX_ENVELOPE_ID: usize = 100;
/// The most bytes of ORCPT (RFC 3461 §4.2).
const MAX_ORIGINAL_RECIPIENT: usize = 500;

/// `BODY=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// `7BIT`
    SevenBit,
    /// `8BITMIME`
    EightBitMime,
    /// `BINARYMIME`
    BinaryMime,
}

/// `RET=`: what a failure notice shall return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// `FULL`: the whole message.
    Full,
    /// `HDRS`: its header.
    Headers,
}

/// `AUTH=`: who first submitted the message, as the client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `<>`: not known, or the client is not to be trusted with it.
    Unknown,
    /// A mailbox.
    Mailbox(Mailbox),
}

/// What MAIL carries beside the reverse-path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// The message's size in bytes, as the client says.
    pub size: Option<u64>,
    /// The content's kind.
    pub body: Option<Body>,
    /// The envelope or header may hold UTF-8.
    pub smtp_utf8: bool,
    /// The message travels over verified TLS alone (RFC 8689).
    pub require_tls: bool,
    /// What a failure notice returns.
    pub ret: Option<Return>,
    /// The sender's id of this envelope, decoded, printable ASCII.
    pub envelope_id: Option<Box<str>>,
    /// Who submitted it.
    pub auth: Option<Auth>,
}

/// `NOTIFY=`: when the sender wants a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// `NEVER`
    Never,
    /// On these events, at least one.
    On {
        /// On delivery.
        success: bool,
        /// On failure.
        failure: bool,
        /// On delay.
        delay: bool,
    },
}

/// `ORCPT=`: the recipient as the sender first wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRecipient {
    /// The address type, such as `rfc822`.
    pub kind: Box<str>,
    /// The address, still encoded: `xtext`, or `utf-8-addr-xtext` (RFC 6533 §3)
    /// for the type `utf-8`.
    pub address: Box<str>,
}

/// What RCPT carries beside the forward-path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// When the sender wants a notice.
    pub notify: Option<Notify>,
    /// The recipient as first written.
    pub original: Option<OriginalRecipient>,
}

/// Calls `take` with each `KEYWORD` or `KEYWORD=value` of `text`.
fn each<'a>(
    text: &'a str,
    mut take: impl FnMut(&'a str, Option<&'a str>) -> Result<(), Error>,
) -> Result<(), Error> {
    if !text.is_empty() && !text.starts_with(' ') {
        return Err(Error::Parameter(
            "a space stands between an address and its parameters",
        ));
    }
    for word in text.split(' ').filter(|w| !w.is_empty()) {
        match word.split_once('=') {
            Some((_, "")) => return Err(Error::Parameter("a parameter has an empty value")),
            Some((keyword, value)) => take(keyword, Some(value))?,
            None => take(word, None)?,
        }
    }
    Ok(())
}

/// Sets `slot`, which no earlier parameter may have set.
fn once<T>(slot: &mut Option<T>, value: Result<T, Error>) -> Result<(), Error> {
    if slot.is_some() {
        return Err(Error::Parameter("a parameter is given twice"));
    }
    *slot = Some(value?);
    Ok(())
}

impl MailParameters {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut found = Self::default();
        let (mut smtp_utf8, mut require_tls) = (None, None);
        each(text, |keyword, value| {
            let needed = || value.ok_or(Error::Parameter("a parameter lacks its value"));
            if keyword.eq_ignore_ascii_case("SIZE") {
                once(&mut found.size, needed().and_then(size))
            } else if keyword.eq_ignore_ascii_case("BODY") {
                once(&mut found.body, needed().and_then(body))
            } else if keyword.eq_ignore_ascii_case("SMTPUTF8") {
                once(&mut smtp_utf8, flag(value, "SMTPUTF8 takes no value"))
            } else if keyword.eq_ignore_ascii_case("REQUIRETLS") {
                once(&mut require_tls, flag(value, "REQUIRETLS takes no value"))
            } else if keyword.eq_ignore_ascii_case("RET") {
                once(&mut found.ret, needed().and_then(ret))
            } else if keyword.eq_ignore_ascii_case("ENVID") {
                once(&mut found.envelope_id, needed().and_then(envelope_id))
            } else if keyword.eq_ignore_ascii_case("AUTH") {
                once(&mut found.auth, needed().and_then(auth))
            } else {
                Err(Error::UnknownParameter)
            }
        })?;
        found.smtp_utf8 = smtp_utf8.is_some();
        found.require_tls = require_tls.is_some();
        Ok(found)
    }
}

impl RcptParameters {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut found = Self::default();
        each(text, |keyword, value| {
            let needed = || value.ok_or(Error::Parameter("a parameter lacks its value"));
            if keyword.eq_ignore_ascii_case("NOTIFY") {
                once(&mut found.notify, needed().and_then(notify))
            } else if keyword.eq_ignore_ascii_case("ORCPT") {
                once(&mut found.original, needed().and_then(original))
            } else {
                Err(Error::UnknownParameter)
            }
        })?;
        Ok(found)
    }
}

/// A parameter that is there or not; refused with `wrong` where it has a value.
fn flag(value: Option<&str>, wrong: &'static str) -> Result<(), Error> {
    match value {
        None => Ok(()),
        Some(_) => Err(Error::Parameter(wrong)),
    }
}

/// RFC 1870 §4: 1*20DIGIT.
fn size(value: &str) -> Result<u64, Error> {
    if value.len() > 20 || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::Parameter("SIZE takes a number of bytes"));
    }
    // 20 digits may exceed 64 bits; such a message is too large for anybody.
    Ok(value.parse().unwrap_or(u64::MAX))
}

fn body(value: &str) -> Result<Body, Error> {
    [
        ("7BIT", Body::SevenBit),
        ("8BITMIME", Body::EightBitMime),
        ("BINARYMIME", Body::BinaryMime),
    ]
    .into_iter()
    .find_map(|(name, body)| value.eq_ignore_ascii_case(name).then_some(body))
    .ok_or(Error::Parameter("BODY is 7BIT or 8BITMIME"))
}

fn ret(value: &str) -> Result<Return, Error> {
    [("FULL", Return::Full), ("HDRS", Return::Headers)]
        .into_iter()
        .find_map(|(name, ret)| value.eq_ignore_ascii_case(name).then_some(ret))
        .ok_or(Error::Parameter("RET is FULL or HDRS"))
}

fn envelope_id(value: &str) -> Result<Box<str>, Error> {
    Some(value)
        .filter(|v| v.len() <= MAX_ENVELOPE_ID)
        .and_then(xtext::decode)
        .map(Into::into)
        .ok_or(Error::Parameter("ENVID is xtext of at most 100 characters"))
}

fn auth(value: &str) -> Result<Auth, Error> {
    if value == "<>" {
        return Ok(Auth::Unknown);
    }
    xtext::decode(value)
        .and_then(|text| Mailbox::parse(&text).ok())
        .map(Auth::Mailbox)
        .ok_or(Error::Parameter("AUTH is <> or an address in xtext"))
}

fn notify(value: &str) -> Result<Notify, Error> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for word in value.split(',') {
        let event = if word.eq_ignore_ascii_case("SUCCESS") {
            &mut success
        } else if word.eq_ignore_ascii_case("FAILURE") {
            &mut failure
        } else if word.eq_ignore_ascii_case("DELAY") {
            &mut delay
        } else {
            return Err(Error::Parameter(
                "NOTIFY is NEVER, or a list of SUCCESS, FAILURE, DELAY",
            ));
        };
        *event = true;
    }
    Ok(Notify::On {
        success,
        failure,
        delay,
    })
}

fn original(value: &str) -> Result<OriginalRecipient, Error> {
    let wrong = Error::Parameter("ORCPT is type;address of at most 500 characters");
    let (kind, address) = value.split_once(';').ok_or(wrong.clone())?;
    let kind_ok = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let utf8 = kind.eq_ignore_ascii_case("utf-8");
    // RFC 6533 §3: utf-8-addr-xtext may hold UTF-8 as it is.
    let address_ok = !address.is_empty()
        && if utf8 {
            !address.chars().any(char::is_control)
        } else {
            xtext::decode(address).is_some()
        };
    if value.len() > MAX_ORIGINAL_RECIPIENT || !kind_ok || !address_ok {
        return Err(wrong);
    }
    Ok(OriginalRecipient {
        kind: kind.into(),
        address: address.into(),
    })
}
