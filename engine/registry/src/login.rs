//! Logging in: with a password, or with a token that another server gives (distribution project, "Token Authentication").

use std::collections::BTreeMap;

use homeostat_credentials::{Credentials, Login, for_registry, for_registry_in};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Request, RequestBuilder, StatusCode, Url};
use serde::Deserialize;

use crate::challenge::Challenge;
use crate::endpoint::host_of;
use crate::repository::{Access, Repository};
use crate::{RegistryError, failure};

/// How large the answer of a token server may be.
const TOKEN_LIMIT: usize = 1 << 20;

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl Repository {
    /// What shows a password.
    pub(crate) async fn basic(&self) -> Result<HeaderValue, RegistryError> {
        let unauthorized =
            |with_credentials| RegistryError::Unauthorized { host: self.host().to_owned(), with_credentials };
        let credentials = self.credentials().await?.ok_or_else(|| unauthorized(false))?;
        let Login::Password { username, password } = credentials.login else {
            return Err(unauthorized(true));
        };
        // The client knows how to write it.
        let client = self.clients.of(self.host(), &self.endpoint.base)?;
        let request = client.get(self.endpoint.base.clone()).basic_auth(username, Some(password));
        authorization(request).ok_or_else(|| unauthorized(true))
    }

    /// What shows a token for pulls from this repository.
    pub(crate) async fn token(&self, challenge: &Challenge) -> Result<HeaderValue, RegistryError> {
        let realm = self.realm(challenge)?;
        let host = host_of(&realm);
        let credentials = self.credentials().await?;
        let with_credentials = credentials.is_some();
        let request = self.token_request(realm, challenge, credentials)?;
        let stalled = || RegistryError::Stalled { host: host.clone(), time: self.patience.silence };
        let response = tokio::time::timeout(self.patience.silence, request.send()).await;
        let mut response =
            response.map_err(|_| stalled())?.map_err(|error| failure::of_request(error, &host))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST => {
                let host = self.host().to_owned();
                return Err(RegistryError::Unauthorized { host, with_credentials });
            }
            _ => return Err(failure::of_answer(response, &host, "a token").await),
        }
        let mut body = Vec::new();
        loop {
            let chunk = tokio::time::timeout(self.patience.silence, response.chunk()).await;
            match chunk.map_err(|_| stalled())?.map_err(|error| failure::of_request(error, &host))? {
                Some(chunk) if body.len() + chunk.len() <= TOKEN_LIMIT => body.extend_from_slice(&chunk),
                Some(_) => return Err(RegistryError::protocol(&host, "its token is too large")),
                None => break,
            }
        }
        bearer(&body).ok_or_else(|| RegistryError::protocol(&host, "it gives no token"))
    }

    /// The token server. Whoever is asked over TLS does not send credentials elsewhere without it.
    fn realm(&self, challenge: &Challenge) -> Result<Url, RegistryError> {
        let realm = challenge.parameters.get("realm").and_then(|realm| Url::parse(realm).ok());
        match realm {
            Some(realm) if realm.scheme() == "https" || realm.scheme() == self.endpoint.base.scheme() => {
                Ok(realm)
            }
            Some(_) => {
                Err(RegistryError::protocol(self.host(), "it wants tokens to be asked for without TLS"))
            }
            None => Err(RegistryError::protocol(self.host(), "it does not say where tokens are given out")),
        }
    }

    /// What a token is to allow. A push asks for all that it needs at once, whatever the first request was for.
    fn scope(&self, challenge: &Challenge) -> String {
        let asked = challenge.parameters.get("scope").map(String::as_str);
        match self.access {
            Access::Pull => asked.map_or_else(|| format!("repository:{}:pull", self.name), str::to_owned),
            Access::Push => {
                let own = format!("repository:{}:", self.name);
                // That a layer is taken from another repository needs a word on that one.
                let others = asked.into_iter().flat_map(str::split_whitespace);
                let others = others.filter(|scope| !scope.starts_with(&own)).map(|scope| format!(" {scope}"));
                format!("{own}pull,push{}", others.collect::<String>())
            }
        }
    }

    fn token_request(
        &self,
        mut realm: Url,
        challenge: &Challenge,
        credentials: Option<Credentials>,
    ) -> Result<RequestBuilder, RegistryError> {
        let mut fields = BTreeMap::new();
        fields.insert("scope", self.scope(challenge));
        fields.extend(challenge.parameters.get("service").map(|service| ("service", service.clone())));
        let client = self.clients.of(&host_of(&realm), &realm)?;
        match credentials.map(|credentials| credentials.login) {
            Some(Login::IdentityToken(token)) => {
                fields.insert("grant_type", "refresh_token".to_owned());
                fields.insert("client_id", "homeostat".to_owned());
                fields.insert("refresh_token", token);
                let mut form = realm.clone();
                form.query_pairs_mut().clear().extend_pairs(&fields);
                let body = form.query().unwrap_or_default().to_owned();
                let form = "application/x-www-form-urlencoded";
                Ok(client.post(realm).header(CONTENT_TYPE, form).body(body))
            }
            login => {
                realm.query_pairs_mut().extend_pairs(&fields);
                let request = client.get(realm);
                Ok(match login {
                    Some(Login::Password { username, password }) => {
                        request.basic_auth(username, Some(password))
                    }
                    _ => request,
                })
            }
        }
    }

    /// Those of this registry, if there are any.
    pub(crate) async fn credentials(&self) -> Result<Option<Credentials>, RegistryError> {
        let (registry, directory) = (self.host().to_owned(), self.clients.config.credentials.clone());
        let read = move || match directory {
            Some(directory) => for_registry_in(&directory, &registry),
            None => for_registry(&registry),
        };
        tokio::task::spawn_blocking(read).await.map_err(|_| RegistryError::Panicked)
    }
}

/// The token that a token server's answer gives, as requests show it.
pub(crate) fn bearer(answer: &[u8]) -> Option<HeaderValue> {
    let Token { token, access_token } = serde_json::from_slice(answer).ok()?;
    let token = if token.is_empty() { access_token } else { token };
    if token.is_empty() {
        return None;
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn authorization(request: RequestBuilder) -> Option<HeaderValue> {
    let request: Request = request.build().ok()?;
    request.headers().get(reqwest::header::AUTHORIZATION).cloned()
}
