//! [`Results`]: the text of Authentication-Results (RFC 8601), as an ARC set tells
//! it. What it quotes comes from strangers: it is checked and bounded.

use mail_auth::dmarc::Policy;
use mail_auth::{DkimOutput, DkimResult, DmarcOutput, DmarcResult, SpfOutput, SpfResult};
use postrider_dkim::Chain;

use crate::Arrival;

/// The longest value that is quoted: that of the longest address and domain. A
/// line stays below the 998 bytes of RFC 5322 §2.1.1.
const MAX_VALUE: usize = 320;

/// A value that is being written.
pub(crate) struct Results(String);

impl Results {
    /// One by the server `hostname`.
    pub(crate) fn new(hostname: &str) -> Self {
        Self(hostname.to_owned())
    }

    /// SPF; None where it took too long.
    pub(crate) fn spf(&mut self, output: Option<&SpfOutput>, arrival: &Arrival) {
        self.method(
            "spf",
            output.map_or("temperror", |it| spf_word(it.result())),
        );
        match arrival.sender.is_empty() {
            true => self.property("smtp.helo", &arrival.helo),
            false => self.property("smtp.mailfrom", &arrival.sender),
        }
    }

    /// Each signature; None where it took too long.
    pub(crate) fn dkim(&mut self, outputs: Option<&[DkimOutput<'_>]>) {
        let Some(outputs) = outputs else {
            return self.method("dkim", "temperror");
        };
        if outputs.is_empty() {
            self.method("dkim", "none");
        }
        for output in outputs {
            self.method("dkim", dkim_word(output.result()));
            if let Some(signature) = output.signature() {
                self.property("header.d", &signature.d);
                self.property("header.s", &signature.s);
            }
        }
    }

    /// DMARC.
    pub(crate) fn dmarc(&mut self, output: &DmarcOutput) {
        self.method("dmarc", dmarc_word(&output.result()));
        if !output.domain().is_empty() {
            self.property("header.from", output.domain());
        }
        let policy = match output.policy() {
            Policy::Quarantine => "quarantine",
            Policy::Reject => "reject",
            Policy::None | Policy::Unspecified => return,
        };
        self.property("policy.dmarc", policy);
    }

    /// The chain (RFC 8617 §10.1).
    pub(crate) fn arc(&mut self, chain: &Chain, arrival: &Arrival) {
        self.method("arc", chain.as_str());
        self.property("smtp.remote-ip", &arrival.client.to_string());
    }

    /// The whole.
    pub(crate) fn finish(self) -> String {
        self.0
    }

    fn method(&mut self, name: &str, word: &str) {
        self.0.push_str(&format!(";\r\n\t{name}={word}"));
    }

    /// A property with a value, in quotes where it is no address or token
    /// (RFC 8601 §2.2). What cannot stand in a header field is left out.
    fn property(&mut self, name: &str, value: &str) {
        let printable = |byte: u8| matches!(byte, b' '..=b'~');
        if value.is_empty() || value.len() > MAX_VALUE || !value.bytes().all(printable) {
            return;
        }
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-./@^_`{|}~".contains(&byte);
        let value = match value.bytes().all(plain) {
            true => value.to_owned(),
            false => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        };
        self.0.push_str(&format!(" {name}={value}"));
    }
}

fn spf_word(result: SpfResult) -> &'static str {
    match result {
        SpfResult::Pass => "pass",
        SpfResult::Fail => "fail",
        SpfResult::SoftFail => "softfail",
        SpfResult::Neutral => "neutral",
        SpfResult::TempError => "temperror",
        SpfResult::PermError => "permerror",
        SpfResult::None => "none",
    }
}

fn dkim_word(result: &DkimResult) -> &'static str {
    match result {
        DkimResult::Pass => "pass",
        // RFC 8601 §2.7.1: a signature that does not fit the message has failed.
        DkimResult::Neutral(_) | DkimResult::Fail(_) => "fail",
        DkimResult::PermError(_) => "permerror",
        DkimResult::TempError(_) => "temperror",
        DkimResult::None => "none",
    }
}

fn dmarc_word(result: &DmarcResult) -> &'static str {
    match result {
        DmarcResult::Pass => "pass",
        DmarcResult::Fail(_) => "fail",
        DmarcResult::TempError(_) => "temperror",
        DmarcResult::PermError(_) => "permerror",
        DmarcResult::None => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_strangers_stay_within_their_place() {
        let long = "x".repeat(MAX_VALUE + 1);
        for (value, want) in [
            ("a@b.test", " k=a@b.test"),
            ("a;b", " k=\"a;b\""),
            ("\"a b\\\"@c", " k=\"\\\"a b\\\\\\\"@c\""),
            ("::1", " k=\"::1\""),
            ("a\r\nX: y", ""),
            ("ü@b.test", ""),
            ("", ""),
            (long.as_str(), ""),
        ] {
            let mut results = Results::new("");
            results.property("k", value);
            assert_eq!(results.finish(), want, "{value:?}");
        }
    }
}
