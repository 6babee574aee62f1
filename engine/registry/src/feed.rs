//! Blobs, piece by piece, gone on with after a break.

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, RANGE};
use tokio::sync::mpsc::Sender;

use crate::manifest::Blob;
use crate::repository::Repository;
use crate::retry::Attempts;
use crate::{RegistryError, failure, range};

impl Repository {
    /// Sends a blob on from `at`, which is moved along. A receiver that is gone ends it without an error.
    pub(crate) async fn feed(
        &self,
        blob: &Blob,
        at: &mut u64,
        to: &Sender<Bytes>,
        told: &(dyn Fn(u64) + Sync),
    ) -> Result<(), RegistryError> {
        let mut attempts = Attempts::new(self.patience);
        while *at < blob.size && !to.is_closed() {
            let before = *at;
            if let Err(error) = self.feed_once(blob, at, to, told).await {
                attempts.progressed(*at - before);
                attempts.after(error).await?;
            }
        }
        Ok(())
    }

    async fn feed_once(
        &self,
        blob: &Blob,
        at: &mut u64,
        to: &Sender<Bytes>,
        told: &(dyn Fn(u64) + Sync),
    ) -> Result<(), RegistryError> {
        let mut headers = HeaderMap::new();
        if *at > 0 {
            headers.insert(RANGE, range::from(*at));
        }
        let what = format!("the layer {}", blob.digest);
        let mut response = self.get(&format!("blobs/{}", blob.digest), &headers, &what).await?;
        let mut skip = self.begins_at(&response, blob, *at)?;
        loop {
            let Ok(chunk) = tokio::time::timeout(self.patience.silence, response.chunk()).await else {
                return Err(RegistryError::Stalled {
                    host: self.host().to_owned(),
                    time: self.patience.silence,
                });
            };
            let Some(mut chunk) = chunk.map_err(|error| failure::of_request(error, self.host()))? else {
                if *at == blob.size {
                    return Ok(());
                }
                let source = format!("it ended after {at} of {} bytes", blob.size).into();
                return Err(RegistryError::Broken { host: self.host().to_owned(), source });
            };
            let skipped = skip.min(chunk.len() as u64);
            skip -= skipped;
            let chunk = chunk.split_off(usize::try_from(skipped).expect("not more than the chunk has"));
            if *at + chunk.len() as u64 > blob.size {
                let what = format!("{what} has more than the {} bytes that its manifest says", blob.size);
                return Err(RegistryError::protocol(self.host(), what));
            }
            *at += chunk.len() as u64;
            if !chunk.is_empty() && to.send(chunk).await.is_err() {
                return Ok(());
            }
            told(*at);
        }
    }

    /// How many bytes of the answer are there already. A registry need not know ranges.
    fn begins_at(&self, response: &reqwest::Response, blob: &Blob, at: u64) -> Result<u64, RegistryError> {
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        if response.status() != StatusCode::PARTIAL_CONTENT {
            let length = header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
            return match length {
                Some(length) if length != blob.size => {
                    let what = format!(
                        "the layer {} has {length} bytes, its manifest says {}",
                        blob.digest, blob.size
                    );
                    Err(RegistryError::protocol(self.host(), what))
                }
                _ => Ok(at),
            };
        }
        if range::start_of(response) == Some(at) {
            Ok(0)
        } else {
            Err(RegistryError::protocol(self.host(), "it sends another range than asked for"))
        }
    }
}
