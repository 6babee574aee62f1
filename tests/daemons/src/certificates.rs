//! Certificates for TLS between an engine and who uses it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An authority of its own, with a certificate for an engine on the loopback interface and one for who uses it.
#[derive(Debug)]
pub struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    /// Makes all of it with `openssl`, in a directory that is made for it.
    pub fn make(directory: &Path) -> Self {
        let made = Self { directory: directory.to_owned() };
        for side in ["engine", "client"] {
            fs_err::create_dir_all(directory.join(side)).unwrap();
        }
        openssl(directory, &["-keyout", "authority.key", "-out", "engine/ca.pem", "-subj", "/CN=authority"]);
        fs_err::copy(directory.join("engine/ca.pem"), directory.join("client/ca.pem")).unwrap();
        made.issue("engine", "subjectAltName=IP:127.0.0.1");
        made.issue("client", "extendedKeyUsage=clientAuth");
        made
    }

    /// What the engine uses: `ca.pem`, `cert.pem` and `key.pem`.
    pub fn engine(&self) -> PathBuf {
        self.directory.join("engine")
    }

    /// What who uses the engine needs: `ca.pem`, `cert.pem` and `key.pem`.
    pub fn client(&self) -> PathBuf {
        self.directory.join("client")
    }

    fn issue(&self, side: &str, extension: &str) {
        let (key, certificate) = (format!("{side}/key.pem"), format!("{side}/cert.pem"));
        let (subject, authority) =
            (format!("/CN={side}"), ["-CA", "engine/ca.pem", "-CAkey", "authority.key"]);
        let options = ["-keyout", &key, "-out", &certificate, "-subj", &subject, "-addext", extension];
        let leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
        openssl(&self.directory, &[&options[..], &authority, &leaf].concat());
    }
}

/// Makes a key and its certificate.
fn openssl(directory: &Path, options: &[&str]) {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-days", "2", "-nodes", "-newkey", "ec"]);
    command.args(["-pkeyopt", "ec_paramgen_curve:P-256"]).args(options);
    let output = command.current_dir(directory).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
