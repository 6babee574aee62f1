//! Where a registry is reached.

use std::net::IpAddr;

use reqwest::Url;

use crate::{RegistryConfig, RegistryError};

/// What Docker Hub is called in references, and where its API is.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// A server that may have the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Its name in the configurations of homeostat and Docker: what credentials and certificates are filed under.
    pub(crate) name: String,
    /// Where its API begins, with a slash at the end.
    pub(crate) base: Url,
}

/// The mirrors of a registry, and the registry itself last.
pub(crate) fn endpoints(config: &RegistryConfig, registry: &str) -> Result<Vec<Endpoint>, RegistryError> {
    let host = config.hosts.get(registry);
    let mirrors = host.into_iter().flat_map(|host| &host.mirrors);
    let mut endpoints = mirrors.map(|mirror| of_mirror(mirror)).collect::<Result<Vec<_>, _>>()?;
    let address = if registry == DOCKER_HUB.0 { DOCKER_HUB.1 } else { registry };
    let scheme = if speaks_plain_http(config, registry) { "http" } else { "https" };
    let base = parse(&format!("{scheme}://{address}/v2/"))?;
    endpoints.push(Endpoint { name: registry.to_owned(), base });
    Ok(endpoints)
}

fn of_mirror(mirror: &str) -> Result<Endpoint, RegistryError> {
    let base = parse(&format!("{}/v2/", mirror.trim_end_matches('/')))?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(RegistryError::Config {
            what: format!("the mirror {mirror}"),
            source: "it is no HTTP URL".into(),
        });
    }
    Ok(Endpoint { name: host_of(&base), base })
}

fn speaks_plain_http(config: &RegistryConfig, registry: &str) -> bool {
    let host = config.hosts.get(registry);
    if let Some(plain) = host.and_then(|host| host.plain_http) {
        return plain;
    }
    let has_authority = host.is_some_and(|host| host.ca_file.is_some())
        || config.certificates.iter().any(|directory| directory.join(registry).is_dir());
    is_loopback(registry) && !has_authority
}

/// Whether a host, with a port or without, is this host by name or address.
pub(crate) fn is_loopback(host: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{host}/")) else { return false };
    let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Host and port as they stand in references: without the port that goes without saying.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn parse(url: &str) -> Result<Url, RegistryError> {
    Url::parse(url)
        .map_err(|source| RegistryError::Config { what: format!("the URL {url}"), source: source.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HostConfig;

    fn bases(config: &RegistryConfig, registry: &str) -> Vec<String> {
        endpoints(config, registry).unwrap().into_iter().map(|endpoint| endpoint.base.to_string()).collect()
    }

    #[test]
    fn only_loopback_goes_without_tls_unless_it_is_said() {
        let mut config = RegistryConfig { certificates: Vec::new(), ..RegistryConfig::default() };
        for loopback in ["localhost:5000", "127.0.0.1:5000", "[::1]:5000", "127.1.2.3"] {
            assert_eq!(bases(&config, loopback), [format!("http://{loopback}/v2/")]);
        }
        assert_eq!(bases(&config, "registry.example:5000"), ["https://registry.example:5000/v2/"]);
        assert_eq!(bases(&config, "docker.io"), ["https://registry-1.docker.io/v2/"]);
        let said = |plain_http| HostConfig { plain_http: Some(plain_http), ..HostConfig::default() };
        config.hosts.insert("registry.example:5000".to_owned(), said(true));
        config.hosts.insert("localhost:5000".to_owned(), said(false));
        assert_eq!(bases(&config, "registry.example:5000"), ["http://registry.example:5000/v2/"]);
        assert_eq!(bases(&config, "localhost:5000"), ["https://localhost:5000/v2/"]);
    }

    #[test]
    fn an_own_authority_means_tls_on_loopback_too() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir(directory.path().join("localhost:5000")).unwrap();
        let config =
            RegistryConfig { certificates: vec![directory.path().to_owned()], ..RegistryConfig::default() };
        assert_eq!(bases(&config, "localhost:5000"), ["https://localhost:5000/v2/"]);
    }

    #[test]
    fn mirrors_come_first() {
        let mut config = RegistryConfig::default();
        let mirrors = vec!["https://mirror.example/hub/".to_owned(), "http://10.0.0.1:5000".to_owned()];
        config.hosts.insert("docker.io".to_owned(), HostConfig { mirrors, ..HostConfig::default() });
        let expected = [
            "https://mirror.example/hub/v2/",
            "http://10.0.0.1:5000/v2/",
            "https://registry-1.docker.io/v2/",
        ];
        assert_eq!(bases(&config, "docker.io"), expected);
        config.hosts.get_mut("docker.io").unwrap().mirrors = vec!["ftp://x".to_owned()];
        assert!(endpoints(&config, "docker.io").is_err());
    }
}
