//! Whom TLS trusts and who it says that this host is, from the files that Docker's own client uses.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("the certificates for TLS cannot be read")]
    Unreadable(#[from] io::Error),
    #[error("{} holds nothing that TLS can use", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        source: pem::Error,
    },
    #[error("{} holds what is no certificate of an authority", path.display())]
    NoAuthority {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error("{} cannot be used with {}", key.display(), certificate.display())]
    NoPair {
        certificate: PathBuf,
        key: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error("TLS cannot be used")]
    Unusable(#[source] rustls::Error),
}

/// What a directory says: `ca.pem` whom to trust, and nobody else is; `cert.pem` and `key.pem` who this host is. Those
/// two are left out where an engine asks nobody for a certificate.
pub(crate) fn trust(directory: &Path) -> Result<ClientConfig, CertificateError> {
    let file = |name: &str| directory.join(name);
    let (certificate, key) = (file("cert.pem"), file("key.pem"));
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(CertificateError::Unusable)?
        .with_root_certificates(authorities(&file("ca.pem"))?);
    if !certificate.exists() && !key.exists() {
        return Ok(config.with_no_client_auth());
    }
    config
        .with_client_auth_cert(certificates(&certificate)?, private_key(&key)?)
        .map_err(|source| CertificateError::NoPair { certificate, key, source })
}

fn authorities(path: &Path) -> Result<RootCertStore, CertificateError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|source| CertificateError::NoAuthority { path: path.to_owned(), source })?;
    }
    Ok(roots)
}

/// The certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let text = fs::read(path)?;
    let malformed = |source| CertificateError::Malformed { path: path.to_owned(), source };
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(malformed)?;
    if found.is_empty() { Err(malformed(pem::Error::NoItemsFound)) } else { Ok(found) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let text = fs::read(path)?;
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|source| CertificateError::Malformed { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use homeostat_reconciler::chain;

    use super::*;

    fn told(authority: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), authority).unwrap();
        chain(&trust(directory.path()).unwrap_err())
    }

    #[test]
    fn a_file_that_is_of_no_use_is_named_with_the_reason() {
        let empty = told("nothing\n");
        assert!(empty.contains("ca.pem holds nothing that TLS can use: no items found"), "{empty}");
        let torn = told("-----BEGIN CERTIFICATE-----\nAAAA\n");
        assert!(torn.contains("ca.pem holds nothing that TLS can use: missing section end"), "{torn}");
        let other = told("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert!(other.contains("ca.pem holds what is no certificate of an authority"), "{other}");
    }
}
