//! Looks at everything that there is.

use std::time::Duration;

use homeostat_reconciler::ports::Engine;
use homeostat_reconciler::{Desired, ErrorKind, Observed, PortError};

use crate::files::SourceFiles;

/// An engine that has not told by then what there is does not answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the engine reports, with what the specs take over, and the files of the source.
///
/// # Errors
/// When any of it cannot be told: what cannot be seen is never taken for gone.
pub(crate) async fn look(
    engine: &dyn Engine,
    files: &SourceFiles,
    desired: &Desired,
) -> Result<Observed, PortError> {
    let silent = |_| PortError::new(ErrorKind::Transient, format!("no answer within {PATIENCE:?}"));
    let mut observed = tokio::time::timeout(PATIENCE, ask(engine, desired)).await.map_err(silent)??;
    observed.files = files.digests()?;
    Ok(observed)
}

async fn ask(engine: &dyn Engine, desired: &Desired) -> Result<Observed, PortError> {
    let mut observed = engine.observe().await?;
    let names = desired.adoptable(&observed);
    if !names.is_empty() {
        observed.foreign = engine.find_foreign(&names).await?;
    }
    Ok(observed)
}
