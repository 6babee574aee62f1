//! Errors as they go over the API.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use homeostat_reconciler::{ErrorKind, PortError, chain};
use serde::{Deserialize, Serialize};

/// An error as it goes over the API.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Who can do something about it.
    pub kind: ErrorKind,
    /// The message with those of its causes.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl From<PortError> for ApiError {
    fn from(error: PortError) -> Self {
        Self { kind: error.kind, message: chain(&error), hint: error.hint }
    }
}

impl From<ApiError> for PortError {
    fn from(error: ApiError) -> Self {
        Self { kind: error.kind, message: error.message, hint: error.hint, source: None }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = match self.kind {
            ErrorKind::User => StatusCode::BAD_REQUEST,
            ErrorKind::Transient => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Config | ErrorKind::Terminal | ErrorKind::Internal => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        (status, Json(self)).into_response()
    }
}
