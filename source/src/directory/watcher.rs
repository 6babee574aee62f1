//! Which directories are watched.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tracing::warn;

use crate::content::is_git_directory;
use crate::limits;

/// How much of the directory is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    /// All of it: no need to look without an event.
    Full,
    /// The directory is not there.
    Missing,
    /// The kernel refused a watch: look now and then.
    Partial,
}

/// Watches every directory of a tree but `.git`, and every place where a link or name leads to it.
///
/// Directories are watched one by one rather than recursively by `notify`: it knows no exceptions, does not follow
/// the directory when a link is swapped, and gives up in the middle when watches run out.
pub(super) struct DirectoryWatcher {
    path: PathBuf,
    sender: mpsc::Sender<()>,
    watcher: Option<RecommendedWatcher>,
    interest: Arc<Mutex<Interest>>,
    watched: HashMap<PathBuf, (u64, u64)>,
    coverage: Coverage,
    warned: bool,
}

/// Which events count.
#[derive(Default)]
struct Interest {
    /// Everything in here.
    root: PathBuf,
    /// These names, in directories where other things happen too.
    names: HashSet<PathBuf>,
}

impl DirectoryWatcher {
    /// Watches what the path leads to. Puts something into the channel, if it is empty, when it changes.
    pub(super) fn new(path: PathBuf, sender: mpsc::Sender<()>) -> Self {
        let mut watcher = Self {
            path,
            sender,
            watcher: None,
            interest: Arc::default(),
            watched: HashMap::new(),
            coverage: Coverage::Partial,
            warned: false,
        };
        watcher.renew();
        watcher
    }

    pub(super) fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// Whether the path leads to a directory now.
    pub(super) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Watches what is there now and no longer what is not.
    pub(super) fn renew(&mut self) {
        self.coverage = match self.try_renew() {
            Ok(coverage) => {
                self.warned = false;
                coverage
            }
            Err(error) => {
                if !self.warned {
                    self.warned = true;
                    let path = self.path.display();
                    warn!(
                        "cannot watch all of {path}, looking every 30 s instead: {error} (raise fs.inotify.max_user_watches)"
                    );
                }
                Coverage::Partial
            }
        };
    }

    fn try_renew(&mut self) -> notify::Result<Coverage> {
        let route = Route::of(&self.path);
        let mut wanted: Vec<PathBuf> =
            route.names.iter().filter_map(|name| name.parent()).map(Path::to_owned).collect();
        *self.interest.lock().unwrap_or_else(PoisonError::into_inner) =
            Interest { root: route.end.clone(), names: route.names };
        let exists = route.end.is_dir();
        // The way before the tree: if watches run out, what is left tells of the most.
        let whole = !exists || directories(&route.end, &mut wanted);
        self.watch(&wanted)?;
        match (exists, whole) {
            (false, _) => Ok(Coverage::Missing),
            (true, true) => Ok(Coverage::Full),
            (true, false) => Err(notify::Error::generic("it has too many directories")),
        }
    }

    fn watch(&mut self, wanted: &[PathBuf]) -> notify::Result<()> {
        if self.watcher.is_none() {
            let (sender, interest) = (self.sender.clone(), Arc::clone(&self.interest));
            let handler = move |event: notify::Result<Event>| {
                if interest.lock().unwrap_or_else(PoisonError::into_inner).counts(&event) {
                    // Full: a firing is already due.
                    let _ = sender.try_send(());
                }
            };
            self.watcher = Some(RecommendedWatcher::new(handler, notify::Config::default())?);
        }
        let Some(watcher) = &mut self.watcher else { return Ok(()) };
        let now: HashMap<_, _> =
            wanted.iter().filter_map(|path| Some((path.clone(), identity(path)?))).collect();
        for (path, _) in self.watched.extract_if(|path, identity| now.get(path) != Some(identity)) {
            // Fails if the kernel dropped the watch with the directory.
            let _ = watcher.unwatch(&path);
        }
        for path in wanted {
            let Some(identity) = now.get(path) else { continue };
            // Also where it was watched before: `notify` drops watches by itself when things are renamed.
            match watcher.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => self.watched.insert(path.clone(), *identity),
                // It went away meanwhile, which the watch on its parent tells.
                Err(_) if !path.is_dir() => continue,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }
}

impl Interest {
    fn counts(&self, event: &notify::Result<Event>) -> bool {
        let Ok(event) = event else { return true };
        // Reading fires too, ours included.
        let read_only =
            matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
        let counts = |path: &PathBuf| {
            path.starts_with(&self.root) || self.names.iter().any(|name| name.starts_with(path))
        };
        event.need_rescan() || (!read_only && event.paths.iter().any(counts))
    }
}

/// How a path leads to a directory.
struct Route {
    /// The path without links; as far as it exists, when it does not lead anywhere.
    end: PathBuf,
    /// The end and every link on the way, each by a path whose parent has no links.
    names: HashSet<PathBuf>,
}

impl Route {
    fn of(path: &Path) -> Self {
        let mut names = HashSet::new();
        let mut end = PathBuf::new();
        let mut left: Vec<OsString> = parts(path);
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                end.pop();
                continue;
            }
            end.push(&part);
            if let (Ok(target), true) = (fs_err::read_link(&end), links < limits::LINKS) {
                links += 1;
                names.insert(end.clone());
                end.pop();
                left.extend(parts(&target));
            } else if !end.exists() {
                break;
            }
        }
        names.insert(end.clone());
        Self { end, names }
    }
}

/// The components of a path, last first, without `.`. An absolute path begins with the root.
fn parts(path: &Path) -> Vec<OsString> {
    let components = path.components().filter(|component| *component != Component::CurDir);
    components.rev().map(|component| component.as_os_str().to_owned()).collect()
}

/// Adds a directory and those within, links not followed. False if there are too many to list.
fn directories(root: &Path, found: &mut Vec<PathBuf>) -> bool {
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        // What cannot be read now is reported by the snapshot, and its parent's watch tells of a change.
        for entry in fs_err::read_dir(&directory).into_iter().flatten().flatten() {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_directory && !is_git_directory(entry.file_name().as_encoded_bytes()) {
                left.push(entry.path());
            }
        }
        found.push(directory);
        if found.len() + left.len() > limits::ENTRIES {
            return false;
        }
    }
    true
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs_err::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set in the process that the test runs itself again in, where only three watches can be had.
    const AGAIN: &str = "HOMEOSTAT_TEST_FEW_WATCHES";

    #[test]
    fn a_tree_with_more_directories_than_watches_is_looked_at_now_and_then() {
        if let Some(path) = std::env::var_os(AGAIN) {
            let mut watcher = DirectoryWatcher::new(PathBuf::from(&path), mpsc::channel(1).0);
            assert_eq!(watcher.coverage(), Coverage::Partial);
            fs_err::remove_dir_all(Path::new(&path).join("a")).unwrap();
            watcher.renew();
            assert_eq!(watcher.coverage(), Coverage::Full);
            return;
        }
        let directory = tempfile::TempDir::new().unwrap();
        fs_err::create_dir_all(directory.path().join("a/b/c/d")).unwrap();
        // Limits of user_namespaces(7) count for the namespace alone.
        let script = "echo 3 > /proc/sys/user/max_inotify_watches || exit 77; exec \"$@\"";
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "sh", "-c", script, "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "directory::watcher::tests::a_tree_with_more_directories_than_watches_is_looked_at_now_and_then"])
            .env(AGAIN, directory.path())
            .output()
            .unwrap();
        if matches!(output.status.code(), Some(1 | 77)) && !output.stdout.starts_with(b"\nrunning") {
            eprintln!(
                "skipped: no user namespace with a limit of its own: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            return;
        }
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    #[test]
    fn a_route_names_every_link_and_ends_where_nothing_is() {
        let directory = tempfile::TempDir::new().unwrap();
        let base = directory.path().canonicalize().unwrap();
        fs_err::create_dir_all(base.join("one/specs")).unwrap();
        std::os::unix::fs::symlink("one", base.join("current")).unwrap();
        std::os::unix::fs::symlink(base.join("current/../current/specs"), base.join("specs")).unwrap();
        let route = Route::of(&base.join("specs"));
        assert_eq!(route.end, base.join("one/specs"));
        assert_eq!(route.names, HashSet::from(["specs", "current", "one/specs"].map(|name| base.join(name))));
        let missing = Route::of(&base.join("current/no/where"));
        assert_eq!(missing.end, base.join("one/no"));
    }
}
