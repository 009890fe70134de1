//! PASS: the second half of a login.

use postrider_proto::sasl::Secret;

use super::login;
use crate::session::{Session, Step};

pub(crate) async fn run(session: &mut Session<'_>, password: &Secret) -> Step {
    match session.user.take() {
        Some(user) => login::run(session, &user, password).await,
        None => session.wrong("send USER first"),
    }
}
