//! [`Route`]: a route of the settings, with its password.

use postrider_proto::sasl::Secret;
use postrider_relay::Login;

use crate::settings::RouteTo;

/// A route of the settings, with its password.
pub(crate) struct Route {
    pub(crate) to: RouteTo,
    pub(crate) login: Option<Login>,
}

impl Route {
    /// Reads the password; what is wrong otherwise.
    pub(crate) fn read(to: &RouteTo) -> Result<Self, String> {
        let login = match (&to.user, &to.password_file) {
            (Some(user), Some(file)) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    format!(
                        "queue.route to {}: cannot read {}: {error}",
                        to.host,
                        file.display()
                    )
                })?;
                Some(Login {
                    user: user.clone(),
                    password: Secret::new(text.lines().next().unwrap_or_default()),
                    without_tls: false,
                })
            }
            _ => None,
        };
        Ok(Self {
            to: to.clone(),
            login,
        })
    }
}
