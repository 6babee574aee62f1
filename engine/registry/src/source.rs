//! Where an image comes from: mirrors, then the registry itself.

use std::sync::Arc;

use bytes::Bytes;
use homeostat_image::Platform;
use homeostat_reconciler::chain;
use tokio::sync::mpsc::Sender;

use crate::clients::Clients;
use crate::endpoint::endpoints;
use crate::fetch::Found;
use crate::manifest::Blob;
use crate::reference::{Reference, Version};
use crate::repository::{Access, Repository};
use crate::{RegistryConfig, RegistryError};

/// The repositories that may have an image.
#[derive(Debug)]
pub(crate) struct Source {
    repositories: Vec<Repository>,
}

impl Source {
    pub(crate) fn open(config: &Arc<RegistryConfig>, asked: &Reference) -> Result<Self, RegistryError> {
        let clients = Arc::new(Clients::new(Arc::clone(config)));
        let endpoints = endpoints(config, &asked.registry)?;
        let repositories = endpoints.into_iter().map(|endpoint| {
            let name = asked.repository.clone();
            Repository::new(endpoint, name, Arc::clone(&clients), config.patience, Access::Pull)
        });
        Ok(Self { repositories: repositories.collect() })
    }

    /// The image at the first that has it. That one is asked first for the blobs.
    pub(crate) async fn find(
        &mut self,
        version: &Version,
        platform: &Platform,
    ) -> Result<Found, RegistryError> {
        let mut number = 0;
        loop {
            match self.repositories[number].find(version, platform).await {
                Ok(found) => {
                    self.repositories.rotate_left(number);
                    return Ok(found);
                }
                // The last is the registry itself: its word counts.
                Err(error) if number + 1 == self.repositories.len() => return Err(error),
                Err(error) => self.note(number, &error),
            }
            number += 1;
        }
    }

    /// Sends a blob on from whoever has it. `skip` of them are asked last.
    pub(crate) async fn feed(
        &self,
        blob: &Blob,
        at: &mut u64,
        to: &Sender<Bytes>,
        told: &(dyn Fn(u64) + Sync),
        skip: usize,
    ) -> Result<(), RegistryError> {
        let count = self.repositories.len();
        let mut first = None;
        for number in (0..count).map(|number| (number + skip) % count) {
            match self.repositories[number].feed(blob, at, to, told).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.note(number, &error);
                    first.get_or_insert(error);
                }
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Names who sent a blob that was not what it should be.
    pub(crate) fn blame(&self, error: RegistryError) -> RegistryError {
        let Some((expected, actual)) = error.is_wrong_blob() else { return error };
        RegistryError::WrongDigest {
            host: self.repositories[0].host().to_owned(),
            expected: expected.to_string(),
            actual: actual.to_string(),
        }
    }

    fn note(&self, number: usize, error: &RegistryError) {
        if self.repositories.len() > 1 {
            let host = self.repositories[number].host();
            tracing::warn!(host, error = chain(error), "a registry or mirror does not give the image");
        }
    }
}
