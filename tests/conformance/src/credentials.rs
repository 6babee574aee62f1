//! Where engines look for credentials: Docker's configuration file, and programs on the path that it names.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::World;

/// Makes a case's world the only place where credentials are looked for. To be called before the case's runtime is made.
#[expect(unsafe_code, reason = "engines find credentials by their environment")]
pub fn look_for_credentials_in(world: &Path) {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", world.join(PROGRAMS).display());
    // SAFETY: each case has a process of its own, whose only other thread waits for it.
    unsafe {
        std::env::set_var("DOCKER_CONFIG", world.join(CONFIGURATION));
        std::env::set_var("PATH", path);
    }
}

const CONFIGURATION: &str = "docker";
const PROGRAMS: &str = "bin";

impl World {
    /// Writes Docker's configuration file.
    pub(crate) fn configure_docker(&self, configuration: &Value) {
        let directory = self.directory.join(CONFIGURATION);
        fs_err::create_dir_all(&directory).unwrap();
        fs_err::write(directory.join("config.json"), configuration.to_string()).unwrap();
    }

    /// Installs a credential helper that has one credential, for one registry.
    pub(crate) fn install_helper(&self, name: &str, registry: &str, user: &str, password: &str) {
        let answer = serde_json::json!({"ServerURL": registry, "Username": user, "Secret": password});
        let script = format!(
            "#!/bin/sh\nread -r asked\n[ \"$1 $asked\" = 'get {registry}' ] || {{ echo 'credentials not found in native keychain'; exit 1; }}\necho '{answer}'\n"
        );
        let directory = self.directory.join(PROGRAMS);
        fs_err::create_dir_all(&directory).unwrap();
        let program = directory.join(format!("docker-credential-{name}"));
        fs_err::write(&program, script).unwrap();
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}
