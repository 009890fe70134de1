//! Where a domain wants reports about the TLS of its mail (RFC 8460 §3), and how
//! they get there by HTTPS. What a report says is not looked at.

mod poster;

use postrider_types::{Address, DomainName};

use crate::{Error, Resolver};
use poster::Target;
pub use poster::{PostError, Poster};

/// The most places that reports are sent to.
const MAX_PLACES: usize = 10;

/// The longest address of a place, in bytes.
const MAX_LENGTH: usize = 2048;

/// Where reports go: never nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsReporting {
    /// All of them get the report: 1 to 10.
    pub places: Vec<ReportPlace>,
}

/// One place for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportPlace {
    /// By mail to this address.
    Mail(Address),
    /// By a POST to this URL, which begins with `https://`.
    Https(String),
}

impl Resolver {
    /// Looks up where `domain` wants its reports; none where it says nothing, or
    /// nothing that can be used.
    pub async fn tls_reporting(&self, domain: &DomainName) -> Result<Option<TlsReporting>, Error> {
        let texts = self.texts(&format!("_smtp._tls.{domain}")).await?;
        Ok(TlsReporting::from_texts(&texts))
    }
}

impl TlsReporting {
    /// Reads the one record among the TXT records `texts` that is meant.
    fn from_texts(texts: &[String]) -> Option<Self> {
        let mut meant = texts.iter().filter_map(|text| fields(text));
        let fields = meant.next()?;
        // RFC 8460 §3: with more than one, nothing is meant.
        if meant.next().is_some() {
            return None;
        }
        let places = fields
            .split(';')
            .find_map(|field| trim(field).strip_prefix("rua="))?;
        let places: Vec<ReportPlace> = places
            .split(',')
            .filter_map(|place| ReportPlace::parse(trim(place)))
            .take(MAX_PLACES)
            .collect();
        (!places.is_empty()).then_some(Self { places })
    }
}

impl ReportPlace {
    /// Reads a URI; none where reports cannot be sent there.
    fn parse(uri: &str) -> Option<Self> {
        let printable = uri.bytes().all(|b| b.is_ascii_graphic());
        if !printable || uri.len() > MAX_LENGTH {
            return None;
        }
        let (scheme, rest) = uri.split_once(':')?;
        if scheme.eq_ignore_ascii_case("mailto") {
            // RFC 6068 §2: what follows a question mark are fields of the message.
            let address = rest.split('?').next().unwrap_or_default();
            return mailbox(&decode(address)?).map(Self::Mail);
        }
        if !scheme.eq_ignore_ascii_case("https") {
            return None;
        }
        let url = format!("https:{rest}");
        Target::parse(&url).is_some().then_some(Self::Https(url))
    }
}

/// An address that fits into a header field as it is: all in ASCII, and its local part
/// a dot-atom (RFC 5322 §3.2.3). Others are rare, and a stranger wrote them.
fn mailbox(text: &str) -> Option<Address> {
    let (local, _) = text.rsplit_once('@')?;
    let atext = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    let is_atom = |atom: &str| !atom.is_empty() && atom.bytes().all(atext);
    if !text.is_ascii() || !local.split('.').all(is_atom) {
        return None;
    }
    Address::parse(text).ok()
}

/// What follows the version in a record that begins with it.
fn fields(text: &str) -> Option<&str> {
    trim(text.strip_prefix("v=TLSRPTv1")?).strip_prefix(';')
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Undoes percent encoding (RFC 3986 §2.1). None where it is broken or hides
/// what is no text.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |b: u8| char::from(b).to_digit(16);
        let value = digit(digits[0])? * 16 + digit(digits[1])?;
        bytes.push(u8::try_from(value).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places(texts: &[&str]) -> Vec<ReportPlace> {
        let texts: Vec<String> = texts.iter().map(|t| (*t).to_owned()).collect();
        TlsReporting::from_texts(&texts).map_or_else(Vec::new, |r| r.places)
    }

    fn mail(address: &str) -> ReportPlace {
        ReportPlace::Mail(Address::parse(address).unwrap())
    }

    #[test]
    fn places_are_read() {
        let record = "v=TLSRPTv1; rua=mailto:TLS%2bReports@example.org?subject=x , \
                      https://reports.example.org/v1;";
        let url = ReportPlace::Https("https://reports.example.org/v1".into());
        let expected = [mail("tls+reports@example.org"), url];
        assert_eq!(places(&[record]), expected);
        assert_eq!(places(&["v=spf1 -all", record]), expected);
        assert!(places(&[record, record]).is_empty());
    }

    #[test]
    fn what_cannot_be_used_is_left_out() {
        let record = "v=TLSRPTv1;rua=http://example.org/,mailto:x,mailto:%zz@example.org,\
                      https:///path,mailto:%0a@example.org,mailto:ok@example.org";
        assert_eq!(places(&[record]), [mail("ok@example.org")]);
        for bad in [
            "mailto:a%3bb@example.org",
            "mailto:%22a%22@example.org",
            "mailto:a%2cb@example.org",
            "mailto:a..b@example.org",
            "mailto:.a@example.org",
            "mailto:a%40b@example.org",
            "mailto:a(b)@example.org",
            "mailto:%c3%bc@example.org",
            "mailto:a@%c3%bc.example.org",
            "mailto:a@[192.0.2.1]",
            "mailto:@example.org",
        ] {
            let record = format!("v=TLSRPTv1; rua={bad}");
            assert!(places(&[&record]).is_empty(), "{bad}");
        }
        for bad in [
            "v=TLSRPTv1",
            "v=TLSRPTv1;",
            "v=TLSRPTv1; rua=",
            "v=TLSRPTv2; rua=mailto:a@b.c",
            "rua=mailto:a@b.c",
        ] {
            assert!(places(&[bad]).is_empty(), "{bad}");
        }
        let many = format!("v=TLSRPTv1; rua={}", "mailto:a@b.c,".repeat(30));
        assert_eq!(places(&[&many]).len(), MAX_PLACES);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(\\PC|%|,|;)*") {
            TlsReporting::from_texts(&[format!("v=TLSRPTv1; rua=mailto:{text}")]);
        }
    }
}
