//! A store, a context and a runner of their own for each test.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use fs_err as fs;
use homeostat_build::{
    BuildError, BuildOptions, BuildOutcome, Cancel, Reporter, RunError, RunStep, StepRunner, Stream, build,
};
use homeostat_image::{Image, ImageStore};
use homeostat_reconciler::ports::ProgressStep;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::web::Web;

/// The programs of the base image.
const PROGRAMS: [&str; 13] =
    ["sh", "cat", "echo", "env", "id", "ls", "mkdir", "pwd", "rm", "seq", "sleep", "touch", "true"];

/// One host, as far as builds see it.
pub(crate) struct Host {
    pub(crate) place: tempfile::TempDir,
    pub(crate) store: ImageStore,
    pub(crate) options: BuildOptions,
    pub(crate) web: Web,
    pub(crate) log: Log,
    pub(crate) cancel: Cancel,
}

/// What a reporter was told.
#[derive(Default)]
pub(crate) struct Log(Mutex<Vec<String>>);

impl Log {
    /// All of it, and forgets it.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn add(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl Reporter for Log {
    fn step(&self, step: &ProgressStep) {
        self.add(step.to_string());
    }

    fn cached(&self, step: usize) {
        self.add(format!("{step}: cached"));
    }

    fn missed(&self, step: usize, cause: &str) {
        self.add(format!("{step}: missed: {cause}"));
    }

    fn output(&self, step: usize, stream: Stream, line: &str) {
        self.add(format!("{step}: {stream:?}: {line}"));
    }

    fn warning(&self, message: &str) {
        self.add(format!("warning: {message}"));
    }
}

impl Host {
    /// With an empty context and an empty store.
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let store = place.path().join("store");
        Self::at(place, &store)
    }

    /// With the store in this directory.
    pub(crate) fn at(place: tempfile::TempDir, store: &Path) -> Self {
        let context = place.path().join("context");
        fs::create_dir(&context).unwrap();
        let options = BuildOptions {
            context,
            dockerfile: "Dockerfile".to_owned(),
            dockerfile_text: None,
            args: BTreeMap::new(),
            target: None,
            reference: "result".to_owned(),
            secrets: BTreeMap::new(),
            ssh: BTreeMap::new(),
            no_cache: false,
        };
        let store = ImageStore::open(store).unwrap();
        Self { place, store, options, web: Web::default(), log: Log::default(), cancel: Cancel::default() }
    }

    /// With an image `base` that has a shell and users.
    pub(crate) fn with_base() -> Self {
        Self::new().and_base()
    }

    /// Builds an image `base` that has a shell and users.
    pub(crate) fn and_base(mut self) -> Self {
        let host = &mut self;
        let bin = host.options.context.join("rootfs/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        for program in PROGRAMS {
            symlink("busybox", bin.join(program)).unwrap();
        }
        host.write("rootfs/etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n");
        host.write("rootfs/etc/group", "root:x:0:\nwww:x:34:\nlog:x:40:web\n");
        host.build_as("base", "FROM scratch\nCOPY rootfs /\nENV FROM_BASE=1\nCMD [\"base\"]\n").unwrap();
        fs::remove_dir_all(host.options.context.join("rootfs")).unwrap();
        host.log.take();
        self
    }

    /// Writes a file of the context.
    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.options.context.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// Builds this Dockerfile under the name `result`.
    pub(crate) fn build(&self, dockerfile: &str) -> Result<BuildOutcome, BuildError> {
        self.write("Dockerfile", dockerfile);
        let outcome = build(&self.store, &self.options, &Chroot, &self.web, &self.log, &self.cancel);
        self.assert_no_leftovers();
        outcome
    }

    fn build_as(&mut self, reference: &str, dockerfile: &str) -> Result<BuildOutcome, BuildError> {
        let own = std::mem::replace(&mut self.options.reference, reference.to_owned());
        let outcome = self.build(dockerfile);
        self.options.reference = own;
        outcome
    }

    /// Builds, and shows the whole error with its sources.
    pub(crate) fn failure(&self, dockerfile: &str) -> (String, BuildError) {
        let error = self.build(dockerfile).expect_err("this build fails");
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        assert!(self.store.find("result").unwrap().is_none());
        (text, error)
    }

    pub(crate) fn image(&self) -> Image {
        self.store.find("result").unwrap().expect("the image was built")
    }

    /// Where a file of the image is on this host; links are not followed.
    pub(crate) fn path(&self, path: &str) -> Option<PathBuf> {
        let layers = self.store.layer_directories(&self.image()).unwrap();
        layers.into_iter().map(|layer| layer.join(path)).find(|path| path.symlink_metadata().is_ok())
    }

    /// The content of a file of the image.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path).unwrap_or_else(|| panic!("{path} is in the image"))).unwrap()
    }

    /// A path outside of context and store.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The paths in the image's topmost layer.
    pub(crate) fn top_layer(&self) -> Vec<String> {
        let top = self.store.layer_directories(&self.image()).unwrap().remove(0);
        let mut paths = Vec::new();
        list(&top, &top, &mut paths);
        paths.sort();
        paths
    }

    pub(crate) fn assert_no_leftovers(&self) {
        for directory in ["staging", "ingest"] {
            let left: Vec<_> = fs::read_dir(self.store.directory().join(directory)).unwrap().collect();
            assert!(left.is_empty(), "{directory}: {left:?}");
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.store.directory().join("staging").to_str().unwrap()), "{mounts}");
    }
}

fn list(top: &Path, directory: &Path, paths: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        paths.push(entry.path().strip_prefix(top).unwrap().to_str().unwrap().to_owned());
        if entry.file_type().unwrap().is_dir() {
            list(top, &entry.path(), paths);
        }
    }
}

/// Runs commands by chroot, and leaves stubs of mount points as a container runtime does.
pub(crate) struct Chroot;

impl StepRunner for Chroot {
    fn run(
        &self,
        step: &RunStep,
        cancel: &Cancel,
        output: &mut dyn FnMut(Stream, &str),
    ) -> Result<i32, RunError> {
        for directory in ["proc", "sys", "dev", "etc"] {
            let _ = fs::create_dir(step.rootfs.join(directory));
        }
        for file in ["etc/hosts", "etc/resolv.conf"] {
            if !step.rootfs.join(file).exists() {
                fs::write(step.rootfs.join(file), "")?;
            }
        }
        let groups: Vec<String> = step.groups.iter().map(u32::to_string).collect();
        let child = Command::new("/usr/sbin/chroot")
            .arg(format!("--userspec={}:{}", step.uid, step.gid))
            .arg(format!("--groups={}", groups.join(",")))
            .arg(&step.rootfs)
            .args(["/bin/sh", "-c", "cd \"$1\" && shift && exec \"$@\"", "sh", &step.cwd])
            .args(&step.args)
            .env_clear()
            .envs(step.env.iter().filter_map(|line| line.split_once('=')))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let group = Pid::from_raw(child.id().cast_signed());
        let watching = cancel.watch(move || {
            // It may have ended by itself.
            let _ = killpg(group, Signal::SIGKILL);
        });
        let result = child.wait_with_output()?;
        drop(watching);
        for (stream, bytes) in [(Stream::Stdout, &result.stdout), (Stream::Stderr, &result.stderr)] {
            String::from_utf8_lossy(bytes).lines().for_each(|line| output(stream, line));
        }
        result.status.code().ok_or_else(|| "killed by a signal".into())
    }
}
