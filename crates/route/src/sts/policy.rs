//! The text of a policy (RFC 8461 §3.2), and which hosts it permits (§4.1).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use postrider_types::DomainName;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest that a policy is valid, in seconds: a year.
const LONGEST: u64 = 31_557_600;

/// What a domain promises about its mail servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How much it binds.
    pub mode: Mode,
    /// The mail servers' names: none only where the mode is [`Mode::None`].
    pub mx: Vec<Pattern>,
    /// How long it is valid, in seconds: up to 31,557,600.
    pub max_age: u64,
}

/// How much a policy binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// No mail without a valid certificate of a permitted host.
    Enforce,
    /// Mail goes as it would without a policy; what fails is reported.
    Testing,
    /// As without a policy.
    None,
}

/// The name of a mail server, or `*.` and the domain right above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    wildcard: bool,
    name: DomainName,
}

/// Why a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A line is no `key: value`.
    #[error("line {0} is not of the form `key: value`")]
    Line(usize),
    /// A field that must be there is not.
    #[error("it has no field `{0}`")]
    Missing(&'static str),
    /// A field says what it cannot say.
    #[error("the field `{0}` is not valid")]
    Field(&'static str),
}

/// Not a name of a mail server, nor `*.` and a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pattern looks like mail.example.org or *.example.org")]
pub struct PatternError;

impl Policy {
    /// Reads the text of a policy. Unknown fields are skipped; of a field that is
    /// there twice, other than `mx`, the first counts.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let (mut version, mut mode, mut max_age) = (None, None, None);
        let mut mx = Vec::new();
        for (number, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let line = line.trim_matches([' ', '\t']);
            if line.is_empty() {
                continue;
            }
            let field = field(line).ok_or(PolicyError::Line(number + 1))?;
            match field {
                ("version", value) => _ = version.get_or_insert(value),
                ("mode", value) => _ = mode.get_or_insert(value),
                ("max_age", value) => _ = max_age.get_or_insert(value),
                ("mx", value) => mx.push(value.parse().map_err(|_| PolicyError::Field("mx"))?),
                _ => {}
            }
        }
        if version.ok_or(PolicyError::Missing("version"))? != "STSv1" {
            return Err(PolicyError::Field("version"));
        }
        let mode = match mode.ok_or(PolicyError::Missing("mode"))? {
            "enforce" => Mode::Enforce,
            "testing" => Mode::Testing,
            "none" => Mode::None,
            _ => return Err(PolicyError::Field("mode")),
        };
        if mx.is_empty() && mode != Mode::None {
            return Err(PolicyError::Missing("mx"));
        }
        let max_age = seconds(max_age.ok_or(PolicyError::Missing("max_age"))?)?;
        Ok(Self { mode, mx, max_age })
    }

    /// How long it is valid after it was fetched.
    pub fn max_age(&self) -> Duration {
        Duration::from_secs(self.max_age)
    }

    /// Whether the host named `host` may receive mail.
    pub fn permits(&self, host: &str) -> bool {
        DomainName::parse(host).is_ok_and(|host| self.mx.iter().any(|p| p.matches(&host)))
    }
}

/// Key and value of a line.
fn field(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let key = key.trim_end_matches([' ', '\t']);
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let fits = (1..=32).contains(&key.len()) && key.bytes().all(known);
    fits.then(|| (key, value.trim_start_matches([' ', '\t'])))
}

/// RFC 8461 §3.2: up to ten digits. More than a year counts as a year.
fn seconds(value: &str) -> Result<u64, PolicyError> {
    let digits = (1..=10).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    let number: Option<u64> = value.parse().ok().filter(|_| digits);
    Ok(number.ok_or(PolicyError::Field("max_age"))?.min(LONGEST))
}

impl Pattern {
    fn matches(&self, host: &DomainName) -> bool {
        if !self.wildcard {
            return *host == self.name;
        }
        // RFC 8461 §4.1, RFC 6125 §6.4: the star stands for one whole label.
        let above = host.as_str().split_once('.').map(|(_, above)| above);
        above == Some(self.name.as_str())
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (wildcard, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let name = DomainName::parse(name).map_err(|_| PatternError)?;
        Ok(Self { wildcard, name })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.wildcard { "*." } else { "" };
        write!(f, "{star}{}", self.name)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Box::<str>::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_policy_is_read() {
        let text = "version: STSv1\r\nmode:enforce\r\nmx: Mail.Example.org \r\n\
                    mx: *.example.net\r\nmode: none\r\nx-new: a:b\r\nmax_age: 604800\r\n";
        let policy = Policy::parse(text).unwrap();
        assert_eq!(policy.mode, Mode::Enforce);
        assert_eq!(policy.max_age(), Duration::from_secs(604_800));
        let patterns: Vec<String> = policy.mx.iter().map(Pattern::to_string).collect();
        assert_eq!(patterns, ["mail.example.org", "*.example.net"]);
    }

    #[test]
    fn what_is_no_policy_says_why() {
        use PolicyError::{Field, Line, Missing};
        for (text, error) in [
            ("", Missing("version")),
            ("<html>", Line(1)),
            ("version: STSv1\n: x", Line(2)),
            ("version: STSv2\nmode: none\nmax_age: 1", Field("version")),
            ("version: STSv1\nmx: a.b\nmax_age: 1", Missing("mode")),
            ("version: STSv1\nmode: strict\nmax_age: 1", Field("mode")),
            ("version: STSv1\nmode: enforce\nmax_age: 1", Missing("mx")),
            ("version: STSv1\nmode: none", Missing("max_age")),
            ("version: STSv1\nmode: none\nmax_age: -1", Field("max_age")),
            ("version: STSv1\nmode: none\nmax_age: 1\nmx: *", Field("mx")),
            (
                "version: STSv1\nmode: none\nmax_age: 99999999999",
                Field("max_age"),
            ),
        ] {
            assert_eq!(Policy::parse(text), Err(error), "{text}");
        }
        let long = Policy::parse("version: STSv1\nmode: none\nmax_age: 9999999999");
        assert_eq!(long.unwrap().max_age, LONGEST);
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let text = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmx: *.Example.net\n\
                    max_age: 1";
        let policy = Policy::parse(text).unwrap();
        for good in ["mx.example.org", "MX.example.ORG", "a.example.net"] {
            assert!(policy.permits(good), "{good}");
        }
        for bad in [
            "a.mx.example.org",
            "example.org",
            "example.net",
            "a.b.example.net",
            "aexample.net",
            "*.example.net",
            "",
        ] {
            assert!(!policy.permits(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC*|(version|mode|mx|max_age|:|\n|STSv1|\\*|\\.| )*") {
            if let Ok(policy) = Policy::parse(&text) {
                prop_assert!(policy.max_age <= LONGEST);
            }
        }
    }
}
