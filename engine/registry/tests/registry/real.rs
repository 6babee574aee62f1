//! `docker-registry` on loopback.

use homeostat_daemons::{PASSWORD, Registry, USER};
use homeostat_reconciler::chain;
use homeostat_registry::{HostConfig, Platform, Registries, RegistryError};

use crate::place::{Place, Told, run};

fn pull(place: &Place, reference: &str) -> Result<String, RegistryError> {
    let registries = Registries::for_platform(place.config.clone(), Platform::of_this_host());
    run(registries.pull(place.store(), reference, &Told::default())).map(|id| id.to_string())
}

#[test]
fn an_image_is_pulled_by_tag_and_by_digest() {
    let place = Place::new();
    let registry = Registry::start(&place.directory.path().join("registry"));
    let digest = registry.push("acme/web", "1", "one");
    let by_tag = format!("{}/acme/web:1", registry.address());
    let by_digest = format!("{}/acme/web@{digest}", registry.address());
    assert_eq!(pull(&place, &by_tag).unwrap(), pull(&place, &by_digest).unwrap());
    assert_eq!(place.read(&by_tag, "version"), b"one");
    assert_eq!(place.store().registry_digest(&by_tag).unwrap().as_str(), digest);
    place.assert_sound();
}

#[test]
fn a_registry_that_asks_for_a_password_gets_it() {
    let place = Place::new();
    let registry = Registry::start_with_password(&place.directory.path().join("registry"));
    registry.push("acme/web", "1", "one");
    let reference = format!("{}/acme/web:1", registry.address());
    assert!(matches!(
        pull(&place, &reference),
        Err(RegistryError::Unauthorized { with_credentials: false, .. })
    ));
    place.log_in(&registry.address(), &format!(r#"{{"username":"{USER}","password":"{PASSWORD}"}}"#));
    pull(&place, &reference).unwrap();
    assert_eq!(place.read(&reference, "version"), b"one");
}

#[test]
fn an_authority_of_ones_own_is_trusted_where_it_is_named_and_nowhere_else() {
    let mut place = Place::new();
    let registry = Registry::start_with_tls(&place.directory.path().join("registry"));
    registry.push("acme/web", "1", "one");
    let reference = format!("{}/acme/web:1", registry.address());
    let host = |ca_file| HostConfig { ca_file, plain_http: Some(false), ..HostConfig::default() };
    place.config.hosts.insert(registry.address(), host(None));
    let error = pull(&place, &reference).unwrap_err();
    assert!(matches!(error, RegistryError::Certificate { .. }), "{}", chain(&error));
    assert!(error.hint().unwrap().contains(&format!("/etc/docker/certs.d/{}/ca.crt", registry.address())));
    place.config.hosts.insert(registry.address(), host(Some(registry.authority())));
    pull(&place, &reference).unwrap();
    assert_eq!(place.read(&reference, "version"), b"one");
    // In a directory as Docker has it, likewise.
    let mut other = Place::new();
    let directory = place.directory.path().join("certs.d");
    fs_err::create_dir_all(directory.join(registry.address())).unwrap();
    fs_err::copy(registry.authority(), directory.join(registry.address()).join("ca.crt")).unwrap();
    other.config.certificates = vec![directory];
    pull(&other, &reference).unwrap();
}

#[test]
fn a_registry_without_tls_is_told_so_where_tls_is_wanted() {
    let mut place = Place::new();
    let registry = Registry::start(&place.directory.path().join("registry"));
    let host = HostConfig { plain_http: Some(false), ..HostConfig::default() };
    place.config.hosts.insert(registry.address(), host);
    let error = pull(&place, &format!("{}/acme/web:1", registry.address())).unwrap_err();
    assert!(matches!(error, RegistryError::NoTls { .. }), "{}", chain(&error));
    assert!(error.hint().unwrap().contains("plain_http = true"));
}
