//! The one place where a refusal becomes an HTTP answer.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use postrider_meta::Refusal;

use super::api::Problem;

/// A failed request.
pub(crate) struct Error {
    status: StatusCode,
    word: &'static str,
    message: String,
}

impl Error {
    /// The request is wrong; the text says how.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
    }

    /// Whether it is refused while somebody else has to do with it.
    pub(crate) fn is_in_use(&self) -> bool {
        self.word == "in_use"
    }

    pub(crate) fn new(status: StatusCode, word: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            word,
            message: message.into(),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let (status, word) = match &refusal {
            Refusal::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Refusal::Exists(_) => (StatusCode::CONFLICT, "exists"),
            Refusal::InUse(_) => (StatusCode::CONFLICT, "in_use"),
            Refusal::Limit(_) => (StatusCode::CONFLICT, "limit"),
            Refusal::OverQuota => (StatusCode::CONFLICT, "over_quota"),
            Refusal::Closed => (StatusCode::CONFLICT, "closed"),
            Refusal::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Refusal::InlineBudget | Refusal::BodyExpired => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
        };
        Self::new(status, word, refusal.to_string())
    }
}

impl From<postrider_meta::Error> for Error {
    fn from(error: postrider_meta::Error) -> Self {
        tracing::warn!(%error, "an administration request failed");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            error.to_string(),
        )
    }
}

impl From<postrider_types::AddressError> for Error {
    fn from(error: postrider_types::AddressError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<postrider_auth::PasswordError> for Error {
    fn from(error: postrider_auth::PasswordError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<JsonRejection> for Error {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), "invalid", rejection.body_text())
    }
}

impl From<QueryRejection> for Error {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), "invalid", rejection.body_text())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let problem = Problem {
            error: self.word.into(),
            message: self.message,
        };
        (self.status, Json(problem)).into_response()
    }
}
