//! The mail that brings a report about TLS (RFC 8460 §5.3): a text for people and
//! the report itself, compressed.
//!
//! Owns the form of the mail; the report's content is not looked at.

use postrider_types::Millis;

use crate::transfer::TransferEncoding;
use crate::{date, encode};

/// All that the mail is made from. The texts are names and addresses that were
/// checked: ASCII without control characters.
#[derive(Clone, Copy, Debug)]
pub struct TlsReport<'a> {
    /// The domain that is reported on.
    pub domain: &'a str,
    /// The domain that reports.
    pub submitter: &'a str,
    /// Names the report, without brackets: letters, digits, `-`, `.` and `@`.
    pub id: &'a str,
    /// Where the time that it covers begins.
    pub begin: Millis,
    /// Where that time ends, its last second included.
    pub end: Millis,
    /// The mail's author.
    pub from: &'a str,
    /// Whom it goes to, at least one.
    pub to: &'a [String],
    /// Its Message-ID, with brackets.
    pub message_id: &'a str,
    /// Now.
    pub date: Millis,
    /// The report in JSON, compressed by gzip.
    pub report: &'a [u8],
    /// Random bytes: they make the boundary.
    pub random: [u8; 16],
}

impl TlsReport<'_> {
    /// Writes the mail, all in ASCII.
    pub fn write(&self) -> Vec<u8> {
        let mut boundary = String::from("=_");
        for byte in self.random {
            boundary.push_str(&format!("{byte:02x}"));
        }
        let Self {
            domain, submitter, ..
        } = self;
        let (begin, end) = (self.begin.seconds(), self.end.seconds());
        // A part of the id alone: a file's name has no `@` and no `!`.
        let unique = self.id.split('@').next().unwrap_or_default();
        let file = format!("{submitter}!{domain}!{begin}!{end}!{unique}.json.gz");
        let to: Vec<String> = self.to.iter().map(|to| format!("<{to}>")).collect();
        let mut out = format!(
            "Date: {}\r\nFrom: <{}>\r\nTo: {}\r\n\
             Subject: Report Domain: {domain}\r\n Submitter: {submitter}\r\n Report-ID: <{}>\r\n\
             Message-ID: {}\r\nTLS-Report-Domain: {domain}\r\n\
             TLS-Report-Submitter: {submitter}\r\nTLS-Required: No\r\n\
             Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n\
             \tboundary=\"{boundary}\"\r\n\r\n",
            date::format(self.date, 0),
            self.from,
            to.join(",\r\n\t"),
            self.id,
            self.message_id,
        )
        .into_bytes();
        let text = format!(
            "--{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
             This is a report about the TLS of connections from {submitter}\r\n\
             to the mail servers of {domain}\r\n\
             from {} to {}.\r\n",
            date::format(self.begin, 0),
            date::format(self.end, 0),
        );
        out.extend_from_slice(text.as_bytes());
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: application/tlsrpt+gzip\r\n\
             Content-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment;\r\n\tfilename=\"{file}\"\r\n\r\n"
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&encode::encode(TransferEncoding::Base64, self.report));
        out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::decode;

    #[test]
    fn a_report_is_a_mail_with_two_parts() {
        let mail = TlsReport {
            domain: "example.net",
            submitter: "example.org",
            id: "abc@example.org",
            begin: Millis(0),
            end: Millis(86_399_000),
            from: "postmaster@example.org",
            to: &["tls@example.net".into(), "more@example.net".into()],
            message_id: "<1@mx.example.org>",
            date: Millis(90_000_000),
            report: b"packed",
            random: [7; 16],
        };
        let text = String::from_utf8(mail.write()).unwrap();
        for line in [
            "To: <tls@example.net>,\r\n\t<more@example.net>\r\n",
            "Subject: Report Domain: example.net\r\n Submitter: example.org\r\n Report-ID: <abc@example.org>\r\n",
            "TLS-Report-Domain: example.net\r\nTLS-Report-Submitter: example.org\r\n",
            "multipart/report; report-type=\"tlsrpt\"",
            "application/tlsrpt+gzip",
            "filename=\"example.org!example.net!0!86399!abc.json.gz\"",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        let (_, coded) = text.rsplit_once("json.gz\"\r\n\r\n").unwrap();
        let coded = coded.split("--=_").next().unwrap();
        assert_eq!(
            decode(TransferEncoding::Base64, coded.as_bytes()),
            b"packed"
        );
    }
}
