//! Builds.

use homeostat_reconciler::ports::{BuildRequest, Progress};

use crate::EmbeddedError;
use crate::engine::Inner;

impl Inner {
    pub(crate) async fn build_image(
        &self,
        request: &BuildRequest,
        _progress: &dyn Progress,
    ) -> Result<String, EmbeddedError> {
        Err(EmbeddedError::NoImage(request.reference.clone()))
    }
}
