//! What cannot be done is refused with the reason, and leaves nothing half done.

use std::time::Duration;

use homeostat_reconciler::ports::Engine;
use homeostat_reconciler::{ContainerState, ErrorKind, chain};
use homeostat_spec::{NetworkMode, Protocol, PublishedPort};
use tokio::net::TcpListener;

use crate::mounts::host;
use crate::world::expect;
use crate::{World, config, create, key, observe, shell, state};

/// An image that is not here is named, and no container comes of it.
pub async fn an_image_that_is_not_here_is_refused(engine: &dyn Engine, world: &World) {
    let image = "localhost/nowhere:9";
    let error = engine.create_container(&world.request(&key("lost"), image, config())).await.unwrap_err();
    assert!(chain(&error).contains(image), "{}", chain(&error));
    assert!(expect(engine.observe().await).containers.is_empty());
}

/// A host path is not made up.
pub async fn a_missing_host_path_is_refused(engine: &dyn Engine, world: &World) {
    let path = world.directory.join("nowhere");
    let mut asked = config();
    asked.mounts.push(host(&path, "/data", false));
    let request = world.request(&key("lost"), &world.base, asked);
    let refused = match engine.create_container(&request).await {
        Ok(()) => engine.start_container(&key("lost")).await,
        refused => refused,
    };
    let error = refused.unwrap_err();
    assert!(chain(&error).contains(path.to_str().unwrap()), "{}", chain(&error));
    assert!(!path.exists());
}

/// A user that the image does not know is named.
pub async fn an_unknown_user_is_refused(engine: &dyn Engine, world: &World) {
    let mut asked = config();
    asked.user = Some("stranger".to_owned());
    let request = world.request(&key("lost"), &world.base, asked);
    let refused = match engine.create_container(&request).await {
        Ok(()) => engine.start_container(&key("lost")).await,
        refused => refused,
    };
    let error = refused.unwrap_err();
    assert!(chain(&error).contains("stranger"), "{}", chain(&error));
}

/// A port that another program has is named; once it is free, the same start works.
pub async fn a_port_in_use_is_refused_and_works_when_free(engine: &dyn Engine, world: &World) {
    let taken = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut asked = shell("sleep infinity");
    asked.network = NetworkMode::Bridge;
    asked.ports.push(PublishedPort {
        host_ip: None,
        host_port: port,
        host_port_last: None,
        container_port: 80,
        protocol: Protocol::Tcp,
    });
    let key = create(engine, world, "server", asked).await;
    let error = engine.start_container(&key).await.unwrap_err();
    assert!(chain(&error).contains(&port.to_string()), "{}", chain(&error));
    assert_eq!(error.kind, ErrorKind::Transient);
    assert_ne!(state(engine, &key).await, ContainerState::Running);
    drop(taken);
    expect(engine.start_container(&key).await);
    assert_eq!(state(engine, &key).await, ContainerState::Running);
}

/// A key is one container: another request for it is refused while it exists.
pub async fn a_container_created_from_something_else_is_refused(engine: &dyn Engine, world: &World) {
    let key = create(engine, world, "one", shell("sleep infinity")).await;
    let before = observe(engine, &key).await;
    let other = world.request(&key, &world.base, shell("sleep 1"));
    engine.create_container(&other).await.unwrap_err();
    assert_eq!(observe(engine, &key).await, before);
}

/// Only what exists is started, paused, resumed or updated.
pub async fn what_does_not_exist_cannot_be_started(engine: &dyn Engine, world: &World) {
    let key = key("nobody");
    engine.start_container(&key).await.unwrap_err();
    engine.pause_container(&key).await.unwrap_err();
    engine.resume_container(&key).await.unwrap_err();
    let idle = create(engine, world, "idle", config()).await;
    engine.pause_container(&idle).await.unwrap_err();
}

/// What runs is stopped before it is removed.
pub async fn a_running_container_cannot_be_removed(engine: &dyn Engine, world: &World) {
    let key = crate::run(engine, world, "busy", shell("sleep infinity")).await;
    engine.remove_container(&key).await.unwrap_err();
    assert_eq!(state(engine, &key).await, ContainerState::Running);
    expect(engine.stop_container(&key, None, Duration::ZERO).await);
    expect(engine.remove_container(&key).await);
}
