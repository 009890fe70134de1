//! AUTHENTICATE and LOGIN (RFC 3501 §6.2.2, §6.2.3; RFC 4959).

use super::error::Problem;
use super::input::Input;
use crate::sasl::Secret;

/// AUTHENTICATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticate {
    /// The SASL mechanism, in capitals.
    pub mechanism: String,
    /// The initial response as sent: base64, or `=` for an empty one (RFC 4959 §3).
    pub initial: Option<Secret>,
}

impl Authenticate {
    pub(super) fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        input.space()?;
        let mechanism = input.atom("a SASL mechanism")?.to_ascii_uppercase();
        let mut initial = None;
        if input.more() {
            initial = Some(Secret::new(input.base64("base64 or =")?));
        }
        Ok(Self { mechanism, initial })
    }
}

/// LOGIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

impl Login {
    pub(super) fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        input.space()?;
        let user = input.utf8_astring("a user name")?;
        input.space()?;
        let password = Secret::new(input.utf8_astring("a password")?);
        Ok(Self { user, password })
    }
}
