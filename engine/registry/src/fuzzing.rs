//! For fuzzing alone: what reads the answers of a registry, without the network.

use homeostat_image::Platform;

use crate::challenge::Challenge;
use crate::manifest::{self, Kind};
use crate::{RegistryError, failure, login, upload};

/// Reads a manifest or index and a configuration as a pull does, for several platforms.
pub fn read_image(announced: &str, manifest: &[u8], config: &[u8]) {
    for (architecture, variant) in [("amd64", None), ("arm", Some("v6")), ("riscv64", None)] {
        let platform =
            Platform { architecture: architecture.to_owned(), variant: variant.map(str::to_owned) };
        // What it is refused for is told to people.
        let _ = read_for(&platform, announced, manifest, config).map_err(|error| error.to_string());
    }
}

fn read_for(
    platform: &Platform,
    announced: &str,
    manifest: &[u8],
    config: &[u8],
) -> Result<(), RegistryError> {
    match manifest::read(manifest, announced)? {
        Kind::Index(index) => drop(manifest::choose(&index, platform)?),
        Kind::Image(image) => {
            manifest::config_of(&image)?;
            let layers = manifest::layers_of(&image, config, platform)?;
            assert_eq!(layers.len(), image.layers().len());
        }
    }
    Ok(())
}

/// Reads a header as each of those that mean something in an answer.
pub fn read_header(text: &str) {
    if let Some(challenge) = Challenge::parse(text) {
        assert!(!challenge.scheme.is_empty());
    }
    let _ = (failure::pause_of(text), upload::bytes_of(text));
}

/// Reads a body as a token and as an error.
pub fn read_body(body: &[u8]) {
    if let Some(token) = login::bearer(body) {
        assert!(token.is_sensitive());
    }
    let message = failure::message_of(body);
    assert!(!message.contains(char::is_control) && message.chars().count() <= 500);
}
