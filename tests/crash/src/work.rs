//! What is interrupted.

use std::process::Command;

use homeostat_daemons::Registry;
use homeostat_e2e::{Host, busybox_image, sleeper};

/// A command of homeostat that changes much on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Three layers come from a registry, and are unpacked.
    Pull,
    /// An image is built, with steps that copy and steps that run.
    Build,
    /// A container is created, with a volume, and started.
    Create,
    /// An image, its layers and its build cache are removed.
    Prune,
}

impl Work {
    /// Makes what the work needs. Returns the registry, if it needs one.
    pub(crate) fn prepare(self, host: &Host) -> Option<Registry> {
        match self {
            Self::Pull => {
                let registry = Registry::start(&host.path("registry"));
                registry.push_layers("team/app", "1", &[layer("a", 9), layer("b", 12), layer("c", 1)]);
                let from = format!("FROM {}/team/app:1\n", registry.address());
                host.write("pulled/Dockerfile", &from);
                Some(registry)
            }
            Self::Build | Self::Create | Self::Prune => {
                busybox_image(host);
                None
            }
        }
    }

    /// Does on the disk what has to be there before.
    pub(crate) fn begin(self, host: &Host) {
        // The directories that every command makes are there already: they are made once in the life of a host.
        host.homeostat(&["images"]).expect_code(0);
        match self {
            Self::Pull | Self::Build => {}
            Self::Create => {
                build(host, "busybox:mine");
                host.write("app.toml", &app());
            }
            Self::Prune => {
                build(host, "busybox:mine");
                host.write("busybox/new", "what the next image has more");
                let dockerfile = "FROM scratch\nCOPY new /new\nCOPY busybox /bin/busybox\n";
                host.write("busybox/Dockerfile", dockerfile);
                build(host, "busybox:mine");
                let rules = "[prune.images]\nfilter = [\"dangling=true\"]\n[prune.build_cache]\n";
                fs_err::write(host.path("config.toml"), rules).unwrap();
            }
        }
    }

    /// The command.
    pub fn command(self, host: &Host) -> Command {
        let mut command = host.command();
        let source = host.source();
        match self {
            Self::Pull => command.arg("build").arg(source.join("pulled")).args(["--tag", "pulled"]),
            Self::Build => command.arg("build").arg(source.join("busybox")).args(["--tag", "busybox:mine"]),
            Self::Create => command.arg("apply").arg(source),
            Self::Prune => command.arg("prune"),
        };
        command
    }

    /// Asserts that it is done, and takes down what would go on.
    pub(crate) fn finish(self, host: &Host) {
        match self {
            Self::Pull => assert!(images(host).contains("pulled"), "{}", images(host)),
            Self::Build => assert!(images(host).contains("busybox:mine")),
            Self::Create => {
                assert_eq!(host.container("app/main")["actual"], "running", "{}", host.status());
                host.homeostat(&["agent", "--down"]).expect_code(0);
            }
            Self::Prune => {
                let left = host.homeostat(&["prune", "--dry-run", "-o", "json"]).expect_code(0).json();
                assert_eq!(left["items"], serde_json::json!([]));
                assert!(images(host).contains("busybox:mine"));
            }
        }
    }
}

fn app() -> String {
    let app = sleeper("volumes = [\"data:/data\"]\nstop = { signal = \"SIGKILL\" }\n[volume.data]\n");
    app.replace("image = \"busybox\"", "image = \"busybox:mine\"")
}

fn build(host: &Host, tag: &str) {
    let context = host.source().join("busybox");
    host.homeostat(&["build", context.to_str().unwrap(), "--tag", tag]).expect_code(0);
}

fn images(host: &Host) -> String {
    host.homeostat(&["images"]).expect_code(0).stdout
}

/// The archive of a layer with so many files, among them one that takes several writes, and links.
fn layer(name: &str, files: u32) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o755);
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    tar.append_data(&mut header, format!("{name}/"), &[][..]).unwrap();
    for number in 0..files {
        let large = if number == 0 { 600_000 } else { number as usize * 700 };
        let content = format!("{name} {number}\n").repeat(large / 4);
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o640);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, format!("{name}/{number}"), content.as_bytes()).unwrap();
    }
    for (kind, link) in [(tar::EntryType::Symlink, "0"), (tar::EntryType::Link, &*format!("{name}/0"))] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o777);
        header.set_size(0);
        tar.append_link(&mut header, format!("{name}/{kind:?}"), link).unwrap();
    }
    tar.into_inner().unwrap()
}
