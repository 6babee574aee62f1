//! What Docker keeps in an image's configuration beyond the OCI image specification.

use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The fields of `config` that the OCI image specification does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DockerConfig {
    /// How to tell whether a container of the image works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Instructions that a build on top of the image begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
    /// The shell of the shell form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Set by `CMD`; it means something on Windows only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
}

/// `HEALTHCHECK`. Times are in nanoseconds; none where the image says nothing about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `NONE`, or `CMD` with words, or `CMD-SHELL` with a line.
    pub test: Vec<String>,
    /// Time between checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    /// How long one may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// How long failures do not count after the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_period: Option<i64>,
    /// Time between checks meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<i64>,
    /// How many failures in a row make it unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
}

/// An image's configuration, of which only this part is looked at.
#[derive(Debug, Deserialize)]
struct Document {
    #[serde(default)]
    config: Option<DockerConfig>,
}

/// Reads an image's configuration: what the OCI image specification has, and what Docker adds. An image comes into the
/// store only when all of it can be read: of another nobody could tell later what it needs.
///
/// # Errors
/// When it is no such document.
pub fn read_config(text: &[u8]) -> Result<(ImageConfiguration, DockerConfig), serde_json::Error> {
    let docker: Document = serde_json::from_slice(text)?;
    Ok((serde_json::from_slice(text)?, docker.config.unwrap_or_default()))
}

impl DockerConfig {
    /// Puts the fields into an image's configuration.
    pub(crate) fn add_to(&self, document: &mut Value) -> Result<(), serde_json::Error> {
        let Value::Object(fields) = serde_json::to_value(self)? else { return Ok(()) };
        if fields.is_empty() {
            return Ok(());
        }
        if let Value::Object(document) = document
            && let Value::Object(config) =
                document.entry("config").or_insert_with(|| Value::Object(serde_json::Map::new()))
        {
            config.extend(fields);
        }
        Ok(())
    }
}
