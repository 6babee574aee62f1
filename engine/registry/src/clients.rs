//! HTTP clients, each with the certificates of its host.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use fs_err as fs;
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::endpoint::{host_of, is_loopback};
use crate::{RegistryConfig, RegistryError, failure};

/// The clients of one pull: certificates that come later count for the next.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) config: Arc<RegistryConfig>,
    by_host: Mutex<HashMap<(String, bool), Client>>,
}

impl Clients {
    pub(crate) fn new(config: Arc<RegistryConfig>) -> Self {
        Self { config, by_host: Mutex::default() }
    }

    /// The client for a URL. `name` is what the host is called in configurations.
    pub(crate) fn of(&self, name: &str, url: &Url) -> Result<Client, RegistryError> {
        let with_tls = url.scheme() == "https";
        let mut clients = self.by_host.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&(name.to_owned(), with_tls)) {
            return Ok(client.clone());
        }
        let roots = if with_tls { self.roots(name)? } else { RootCertStore::empty() };
        let unusable = |source| RegistryError::Config { what: "TLS".to_owned(), source };
        let tls = tls(roots).map_err(|source| unusable(source.into()))?;
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            // Redirects are followed here, so that credentials stay where they belong.
            .redirect(Policy::none())
            .connect_timeout(self.config.patience.connect)
            .user_agent(concat!("homeostat/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&host_of(url)) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|source| unusable(source.into()))?;
        clients.insert((name.to_owned(), with_tls), client.clone());
        Ok(client)
    }

    /// Asks once. Redirects are not followed.
    pub(crate) async fn get(
        &self,
        name: &str,
        url: &Url,
        headers: HeaderMap,
    ) -> Result<Response, RegistryError> {
        let request = self.of(name, url)?.get(url.clone()).headers(headers);
        let time = self.config.patience.silence;
        match tokio::time::timeout(time, request.send()).await {
            Ok(answer) => answer.map_err(|error| failure::of_request(error, name)),
            Err(_) => Err(RegistryError::Stalled { host: name.to_owned(), time }),
        }
    }

    /// The system's authorities and those of this host.
    fn roots(&self, name: &str) -> Result<RootCertStore, RegistryError> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in system.errors {
            tracing::debug!(%error, "a certificate of the system cannot be read");
        }
        roots.add_parsable_certificates(system.certs);
        for file in self.authorities(name)? {
            let unusable = |source| RegistryError::Config {
                what: format!("the certificate {}", file.display()),
                source,
            };
            let certificates =
                CertificateDer::pem_file_iter(&file).map_err(|error| unusable(error.into()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unusable(error.into()))?;
                roots.add(certificate).map_err(|error| unusable(error.into()))?;
            }
        }
        Ok(roots)
    }

    /// The files with authorities of this host.
    fn authorities(&self, name: &str) -> Result<Vec<PathBuf>, RegistryError> {
        let host = self.config.hosts.get(name);
        let mut files: Vec<PathBuf> = host.and_then(|host| host.ca_file.clone()).into_iter().collect();
        for directory in &self.config.certificates {
            let directory = directory.join(name);
            let unusable = |source: std::io::Error| RegistryError::Config {
                what: directory.display().to_string(),
                source: source.into(),
            };
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unusable(error)),
            };
            for entry in entries {
                let path = entry.map_err(unusable)?.path();
                if path.extension().is_some_and(|extension| extension == "crt") {
                    files.push(path);
                }
            }
        }
        Ok(files)
    }
}

fn tls(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
