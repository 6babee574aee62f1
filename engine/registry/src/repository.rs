//! A repository at one endpoint: requests to it, logged in where that is asked for.

use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode, Url};

use crate::challenge::Challenge;
use crate::clients::Clients;
use crate::endpoint::{Endpoint, host_of};
use crate::{Patience, RegistryError, failure, redirect};

/// How many redirects are followed. Registries have one, to their storage.
const REDIRECTS: usize = 5;

/// A repository at one endpoint.
#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) endpoint: Endpoint,
    /// `library/postgres`.
    pub(crate) name: String,
    pub(crate) clients: Arc<Clients>,
    pub(crate) patience: Patience,
    /// What requests show, once it was asked for.
    authorization: Mutex<Option<HeaderValue>>,
    /// Held while it is being asked for, so that one asks for all.
    logging_in: tokio::sync::Mutex<()>,
    /// What is done with it: other tokens are given out for pushes.
    pub(crate) access: Access,
}

/// What a repository is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
}

impl Repository {
    pub(crate) fn new(
        endpoint: Endpoint,
        name: String,
        clients: Arc<Clients>,
        patience: Patience,
        access: Access,
    ) -> Self {
        Self {
            endpoint,
            name,
            clients,
            patience,
            authorization: Mutex::default(),
            logging_in: tokio::sync::Mutex::default(),
            access,
        }
    }

    /// The host, for messages.
    pub(crate) fn host(&self) -> &str {
        &self.endpoint.name
    }

    /// Asks once for something beneath the repository, such as `manifests/1.0`. `what` names it in messages.
    pub(crate) async fn get(
        &self,
        path: &str,
        headers: &HeaderMap,
        what: &str,
    ) -> Result<Response, RegistryError> {
        let shown = self.authorization();
        let (mut response, from_registry) = self.follow(path, headers, shown.clone()).await?;
        if response.status() == StatusCode::UNAUTHORIZED && from_registry {
            self.log_in(&response, shown).await?;
            response = self.follow(path, headers, self.authorization()).await?.0;
            if response.status() == StatusCode::UNAUTHORIZED {
                let with_credentials = self.credentials().await?.is_some();
                return Err(RegistryError::Unauthorized { host: self.host().to_owned(), with_credentials });
            }
        }
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(failure::of_answer(response, self.host(), what).await)
        }
    }

    /// Asks, and follows redirects. Says whether the answer is the registry's own. Credentials are shown to nobody else.
    async fn follow(
        &self,
        path: &str,
        headers: &HeaderMap,
        mut authorization: Option<HeaderValue>,
    ) -> Result<(Response, bool), RegistryError> {
        let home = self.url(path)?;
        let mut url = home.clone();
        for _ in 0..=REDIRECTS {
            let from_registry = url.origin() == home.origin();
            if !from_registry {
                authorization = None;
            }
            let mut headers = headers.clone();
            headers.extend(authorization.iter().map(|value| (AUTHORIZATION, value.clone())));
            let response = self.send(&url, headers).await?;
            if !redirect::is_one(response.status()) {
                return Ok((response, from_registry));
            }
            url = self.redirected(&url, &response)?;
        }
        Err(RegistryError::protocol(self.host(), format!("it redirects more than {REDIRECTS} times")))
    }

    /// What a host is called in configurations and messages.
    pub(crate) fn name_of(&self, url: &Url) -> String {
        if self.is_own(url) { self.host().to_owned() } else { host_of(url) }
    }

    /// Whether it is the registry itself: credentials are shown to nobody else.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.base.origin()
    }

    async fn send(&self, url: &Url, headers: HeaderMap) -> Result<Response, RegistryError> {
        self.clients.get(&self.name_of(url), url, headers).await
    }

    /// Where an answer says to go on.
    pub(crate) fn redirected(&self, from: &Url, response: &Response) -> Result<Url, RegistryError> {
        redirect::target(from, response, self.host())
    }

    /// Gets what the registry asks for. `shown` is what it was not content with.
    pub(crate) async fn log_in(
        &self,
        response: &Response,
        shown: Option<HeaderValue>,
    ) -> Result<(), RegistryError> {
        let challenges: Vec<Challenge> = response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| Challenge::parse(value.to_str().ok()?))
            .collect();
        let _alone = self.logging_in.lock().await;
        if self.authorization() != shown {
            // Another request has just been here.
            return Ok(());
        }
        let of_scheme = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let new = match (of_scheme("bearer"), of_scheme("basic")) {
            (Some(challenge), _) => self.token(challenge).await?,
            (None, Some(_)) => self.basic().await?,
            (None, None) => {
                return Err(RegistryError::protocol(self.host(), "it asks for a login of no known kind"));
            }
        };
        if Some(&new) == shown.as_ref() {
            return Err(RegistryError::Unauthorized { host: self.host().to_owned(), with_credentials: true });
        }
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(new);
        Ok(())
    }

    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn url(&self, path: &str) -> Result<Url, RegistryError> {
        self.endpoint.base.join(&format!("{}/{path}", self.name)).map_err(|source| RegistryError::Config {
            what: format!("the URL of {}", self.name),
            source: source.into(),
        })
    }
}
