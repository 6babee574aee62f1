//! Documents: manifests and configurations, whole and verified.

use homeostat_image::{Digest, Platform};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::manifest::{self, Blob, DOCUMENT_LIMIT, Kind, Layer};
use crate::reference::Version;
use crate::repository::Repository;
use crate::retry::Attempts;
use crate::{RegistryError, failure};

/// An image as a registry has it.
#[derive(Debug)]
pub(crate) struct Found {
    /// The digest that the reference led to: of the manifest, or of an index.
    pub(crate) registry_digest: Digest,
    pub(crate) manifest: Vec<u8>,
    pub(crate) config: Vec<u8>,
    pub(crate) layers: Vec<Layer>,
}

/// A document, and what the registry says about it.
struct Document {
    text: Vec<u8>,
    digest: Digest,
    media_type: String,
    /// `Docker-Content-Digest`.
    announced: Option<String>,
}

impl Repository {
    /// What a tag or digest stands for, on this platform.
    pub(crate) async fn find(&self, version: &Version, platform: &Platform) -> Result<Found, RegistryError> {
        let first = self.manifest(version.as_str()).await?;
        let expected = match version {
            Version::Digest(digest) => Some(digest.to_string()),
            Version::Tag(_) => first.announced.clone(),
        };
        self.must_be(expected.as_deref(), &first)?;
        let registry_digest = first.digest.clone();
        let (manifest, text) = match manifest::read(&first.text, &first.media_type)? {
            Kind::Image(manifest) => (manifest, first.text),
            Kind::Index(index) => {
                let chosen = manifest::choose(&index, platform)?;
                let second = self.manifest(chosen.digest.as_str()).await?;
                self.must_be(Some(chosen.digest.as_str()), &second)?;
                match manifest::read(&second.text, &second.media_type)? {
                    Kind::Image(manifest) => (manifest, second.text),
                    Kind::Index(_) => {
                        return Err(RegistryError::document("index", "it leads to another index"));
                    }
                }
            }
        };
        let config = self.config(&manifest::config_of(&manifest)?).await?;
        let layers = manifest::layers_of(&manifest, &config, platform)?;
        Ok(Found { registry_digest, manifest: text, config, layers })
    }

    async fn manifest(&self, version: &str) -> Result<Document, RegistryError> {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(manifest::ACCEPT))]);
        let separator = if version.contains(':') { '@' } else { ':' };
        let what = format!("{}{separator}{version}", self.name);
        self.document(&format!("manifests/{version}"), &headers, &what).await
    }

    async fn config(&self, blob: &Blob) -> Result<Vec<u8>, RegistryError> {
        let what = format!("the configuration {}", blob.digest);
        let document = self.document(&format!("blobs/{}", blob.digest), &HeaderMap::new(), &what).await?;
        self.must_be(Some(blob.digest.as_str()), &document)?;
        Ok(document.text)
    }

    fn must_be(&self, expected: Option<&str>, document: &Document) -> Result<(), RegistryError> {
        match expected {
            Some(expected) if expected != document.digest.as_str() => Err(RegistryError::WrongDigest {
                host: self.host().to_owned(),
                expected: expected.to_owned(),
                actual: document.digest.to_string(),
            }),
            _ => Ok(()),
        }
    }

    async fn document(&self, path: &str, headers: &HeaderMap, what: &str) -> Result<Document, RegistryError> {
        let mut attempts = Attempts::new(self.patience);
        loop {
            match self.document_once(path, headers, what).await {
                Err(error) => attempts.after(error).await?,
                done => return done,
            }
        }
    }

    async fn document_once(
        &self,
        path: &str,
        headers: &HeaderMap,
        what: &str,
    ) -> Result<Document, RegistryError> {
        let mut response = self.get(path, headers, what).await?;
        let header = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        let media_type = header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        let announced = header("docker-content-digest");
        let mut text = Vec::new();
        loop {
            let Ok(chunk) = tokio::time::timeout(self.patience.silence, response.chunk()).await else {
                return Err(RegistryError::Stalled {
                    host: self.host().to_owned(),
                    time: self.patience.silence,
                });
            };
            match chunk.map_err(|error| failure::of_request(error, self.host()))? {
                None => break,
                Some(chunk) if (text.len() + chunk.len()) as u64 <= DOCUMENT_LIMIT => {
                    text.extend_from_slice(&chunk);
                }
                Some(_) => {
                    return Err(RegistryError::protocol(self.host(), format!("{what} has more than 4 MiB")));
                }
            }
        }
        Ok(Document { digest: Digest::of(&text), text, media_type, announced })
    }
}
