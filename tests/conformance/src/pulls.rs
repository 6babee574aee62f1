//! Images from registries.

use homeostat_reconciler::chain;
use homeostat_reconciler::ports::Engine;

use crate::World;
use crate::world::Silent;

/// A pull that fails says of which image, and brings none.
pub async fn an_image_that_no_registry_has_is_named_by_a_pull(engine: &dyn Engine, world: &World) {
    // Nobody listens there.
    let reference = format!("127.0.0.1:{}/nowhere:9", world.free_port());
    let error = engine.pull_image(&reference, &Silent).await.unwrap_err();
    assert!(chain(&error).contains(&reference), "{}", chain(&error));
    assert!(!engine.observe().await.unwrap().images.contains_key(&reference));
}
