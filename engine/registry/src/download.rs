//! Files at URLs: what an `ADD` of a Dockerfile names.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::sync::Arc;

use jiff::Timestamp;
use reqwest::header::{ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE};
use reqwest::{Response, StatusCode, Url};

use crate::clients::Clients;
use crate::endpoint::host_of;
use crate::retry::Attempts;
use crate::{Registries, RegistryError, failure, range, redirect};

/// How many redirects are followed.
const REDIRECTS: usize = 10;

impl Registries {
    /// Writes what a URL gives, which is no image, to an empty file, and says when it was changed last, if the server does.
    /// A break is gone on with where the server knows how.
    ///
    /// # Errors
    /// [`RegistryError::TooLarge`] when it has more than `room` bytes; else when it cannot be had.
    pub async fn download(
        &self,
        url: &str,
        file: &mut File,
        room: u64,
    ) -> Result<Option<Timestamp>, RegistryError> {
        let parsed = Url::parse(url);
        let url =
            parsed.map_err(|error| RegistryError::Config { what: url.to_owned(), source: error.into() })?;
        let clients = Clients::new(Arc::clone(&self.config));
        let mut download = Download { clients, url, file, room, at: 0, validator: None, modified: None };
        let mut attempts = Attempts::new(self.config.patience);
        loop {
            let before = download.at;
            match download.attempt().await {
                Ok(()) => return Ok(download.modified),
                Err(error) => {
                    attempts.progressed(download.at.saturating_sub(before));
                    attempts.after(error).await?;
                }
            }
        }
    }
}

struct Download<'a> {
    clients: Clients,
    url: Url,
    file: &'a mut File,
    room: u64,
    /// How many bytes are there.
    at: u64,
    /// What tells that a file is still the same (RFC 9110, section 13.1.5).
    validator: Option<HeaderValue>,
    modified: Option<Timestamp>,
}

impl Download<'_> {
    async fn attempt(&mut self) -> Result<(), RegistryError> {
        let (mut response, host) = self.ask().await?;
        self.begin(&response, &host)?;
        let silence = self.clients.config.patience.silence;
        let whole = response.content_length().map(|length| self.at + length);
        self.ensure_room(whole.unwrap_or(0), &host)?;
        loop {
            let Ok(chunk) = tokio::time::timeout(silence, response.chunk()).await else {
                return Err(RegistryError::Stalled { host, time: silence });
            };
            let Some(chunk) = chunk.map_err(|error| failure::of_request(error, &host))? else {
                return Ok(());
            };
            self.ensure_room(self.at + chunk.len() as u64, &host)?;
            self.file.write_all(&chunk).map_err(RegistryError::File)?;
            self.at += chunk.len() as u64;
        }
    }

    /// Asks for what is not there yet. Also gives who has answered.
    async fn ask(&self) -> Result<(Response, String), RegistryError> {
        let mut headers = HeaderMap::new();
        if let Some(validator) = self.validator.clone().filter(|_| self.at > 0) {
            headers.insert(RANGE, range::from(self.at));
            headers.insert(IF_RANGE, validator);
        }
        let mut url = self.url.clone();
        for _ in 0..=REDIRECTS {
            let host = host_of(&url);
            let response = self.clients.get(&host, &url, headers.clone()).await?;
            if redirect::is_one(response.status()) {
                url = redirect::target(&url, &response, &host)?;
            } else if response.status().is_success() {
                return Ok((response, host));
            } else {
                return Err(failure::of_answer(response, &host, "the file").await);
            }
        }
        Err(RegistryError::protocol(&host_of(&url), format!("it redirects more than {REDIRECTS} times")))
    }

    /// Sees whether an answer goes on with what is there, and begins anew where it does not.
    fn begin(&mut self, response: &Response, host: &str) -> Result<(), RegistryError> {
        if response.status() == StatusCode::PARTIAL_CONTENT {
            if range::start_of(response) == Some(self.at) {
                return Ok(());
            }
            return Err(RegistryError::protocol(host, "it sends another range than asked for"));
        }
        self.at = 0;
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(RegistryError::File)?;
        let headers = response.headers();
        let modified = headers.get(LAST_MODIFIED);
        let date = modified.and_then(|date| jiff::fmt::rfc2822::parse(date.to_str().ok()?).ok());
        self.modified = date.map(|date| date.timestamp());
        // A weak tag says only that the file means the same.
        let tag = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
        self.validator = tag.or(modified).cloned();
        Ok(())
    }

    fn ensure_room(&self, size: u64, host: &str) -> Result<(), RegistryError> {
        if size <= self.room {
            return Ok(());
        }
        Err(RegistryError::TooLarge { host: host.to_owned(), size, room: self.room })
    }
}
