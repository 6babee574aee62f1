//! Looks at everything that there is.

use std::time::Duration;

use homeostat_reconciler::ports::Engine;
use homeostat_reconciler::{Desired, ErrorKind, Observed, PortError};

use crate::files::SourceFiles;

/// An engine that has not told by then what there is does not answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the engine reports within this time, with what the specs take over, and the files of the source.
///
/// # Errors
/// When any of it cannot be told: what cannot be seen is never taken for gone.
pub(crate) async fn look(
    engine: &dyn Engine,
    files: &SourceFiles,
    desired: &Desired,
    patience: Duration,
) -> Result<Observed, PortError> {
    let mut observed = within(patience, ask(engine, desired)).await?;
    observed.files = files.digests()?;
    Ok(observed)
}

/// What the engine reports within this time.
///
/// # Errors
/// When it cannot be told.
pub(crate) async fn containers(engine: &dyn Engine, patience: Duration) -> Result<Observed, PortError> {
    within(patience, engine.observe()).await
}

async fn within(
    patience: Duration,
    answer: impl Future<Output = Result<Observed, PortError>>,
) -> Result<Observed, PortError> {
    let silent =
        |_| PortError::new(ErrorKind::Transient, format!("no answer within {} s", patience.as_secs()));
    tokio::time::timeout(patience, answer).await.map_err(silent)?
}

async fn ask(engine: &dyn Engine, desired: &Desired) -> Result<Observed, PortError> {
    let mut observed = engine.observe().await?;
    let names = desired.adoptable(&observed);
    if !names.is_empty() {
        observed.foreign = engine.find_foreign(&names).await?;
    }
    Ok(observed)
}
