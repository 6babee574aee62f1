//! A host whose work is interrupted, time and again from the same beginning.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_daemons::Registry;
use homeostat_e2e::{Host, Outcome, wait_until};
use homeostat_image::{Digest, ImageStore, Needs, Prune, Unused};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Cut, Disk, Next, Point, Work, assert_layers_are_their_archives, own_mounts, trace};

/// How work is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// Its process is killed.
    Kill,
    /// The power is cut, and everything ends. At a point before, everything may have been written to the disk.
    PowerCut {
        /// What still arrives on the disk.
        cut: Cut,
        /// The number of the point at which everything is written to the disk, as the kernel may do it.
        written_back: usize,
    },
}

/// A host for one kind of work, whose data directory is a disk of its own.
pub struct Rig {
    work: Work,
    disk: Disk,
    /// The disk as it is when the work begins.
    beginning: PathBuf,
    /// How many names each directory has when the work is done.
    names: BTreeMap<PathBuf, usize>,
    points: usize,
    _registry: Option<Registry>,
    /// Last: it goes once nothing of it is in use.
    host: Host,
}

impl Rig {
    /// Makes the host, and does the work once without an interruption.
    pub fn new(work: Work) -> Self {
        own_mounts();
        let host = Host::new();
        let registry = work.prepare(&host);
        let mut disk = Disk::new(host.path("disk"), host.path("data"));
        disk.mount();
        work.begin(&host);
        disk.unmount();
        let beginning = host.path("beginning");
        disk.keep(&beginning);
        let mut rig =
            Self { work, disk, beginning, names: BTreeMap::new(), points: 0, _registry: registry, host };
        rig.begin_anew();
        let done = trace(&work.command(&rig.host), &rig.data(), |_| Next::Go);
        assert!(done.status.is_some_and(|status| status.success()), "{}", done.output);
        rig.points = done.points;
        rig.work.finish(&rig.host);
        rig.assert_sound();
        rig.names = rig.names();
        rig
    }

    /// How many points the work has. Its threads may come to a few more or less each time.
    pub fn points(&self) -> usize {
        self.points
    }

    /// Interrupts the work at a point, counted from 1, and asserts that what was recorded is whole, that the work can
    /// be done again, and that nothing is left over. Returns the point; `None` when the work was done before it.
    pub fn interrupt(&mut self, at: usize, how: Interruption) -> Option<Point> {
        self.begin_anew();
        let mut count = 0;
        let mut hit = None;
        let disk = &self.disk;
        let traced = trace(&self.work.command(&self.host), &self.data(), |point| {
            count += 1;
            if matches!(how, Interruption::PowerCut { written_back, .. } if written_back == count) {
                disk.write_back();
            }
            if count < at {
                return Next::Go;
            }
            if let Interruption::PowerCut { cut, .. } = how {
                disk.cut(cut);
            }
            hit = Some(point.clone());
            Next::Kill
        });
        let Some(point) = hit else {
            assert!(traced.status.is_some_and(|status| status.success()), "{}", traced.output);
            self.work.finish(&self.host);
            return None;
        };
        println!("{:?}: {how:?} at {at}, {point}", self.work);
        if let Interruption::PowerCut { .. } = how {
            self.restart();
        }
        self.assert_sound();
        let repeated: Outcome = self.work.command(&self.host).output().unwrap().into();
        repeated.expect_code(0);
        self.work.finish(&self.host);
        self.assert_sound();
        self.assert_nothing_is_left();
        Some(point)
    }

    /// The host comes up again after its power was cut: no process is left, and nothing in `/run`.
    fn restart(&mut self) {
        for process in self.processes() {
            let _ = kill(process, Signal::SIGKILL);
        }
        self.disk.unmount();
        self.disk.mount();
        let run = self.host.path("run");
        fs::remove_dir_all(&run).unwrap();
        fs::create_dir(&run).unwrap();
    }

    fn begin_anew(&mut self) {
        self.disk.reset(&self.beginning);
        self.disk.mount();
    }

    fn data(&self) -> PathBuf {
        self.host.path("data")
    }

    fn store(&self) -> ImageStore {
        ImageStore::open(self.data().join("image")).unwrap()
    }

    /// All that is recorded is whole.
    fn assert_sound(&self) {
        let store = self.store();
        let report = store.check(false).unwrap();
        assert!(report.findings.is_empty(), "{report:?}");
        assert_layers_are_their_archives(store.directory());
    }

    /// What is left is what work without an interruption leaves.
    fn assert_nothing_is_left(&self) {
        wait_until("no process of the host is left", || self.processes().is_empty());
        let mounts = fs::read_to_string("/proc/thread-self/mounts").unwrap();
        let data = self.data();
        let left: Vec<&str> = mounts.lines().filter(|line| line.contains(data.to_str().unwrap())).collect();
        assert_eq!(left.len(), 1, "only the disk is mounted: {left:#?}");
        let there: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(self.names(), self.names, "other names are left than by undisturbed work: {there:?}");
    }

    /// How many names each of the engine's directories has, once what nobody needs is pruned.
    fn names(&self) -> BTreeMap<PathBuf, usize> {
        self.store().prune(&Prune::default(), &Named).unwrap();
        let data = self.data();
        let top =
            ["", "containers", "volumes", "networks", "logs", "staging", "trash", "image"].map(PathBuf::from);
        let below =
            ["blobs/sha256", "layers", "cache", "mounts", "ingest", "staging", "downloads", "retired"]
                .map(|name| Path::new("image").join(name));
        let count = |path: PathBuf| (path.clone(), fs::read_dir(data.join(path)).unwrap().count());
        top.into_iter().chain(below).map(count).collect()
    }

    /// Processes whose command line names the data directory.
    fn processes(&self) -> Vec<Pid> {
        let data = self.data();
        let names_it = |process: &PathBuf| {
            let line = fs::read_to_string(process.join("cmdline"));
            line.is_ok_and(|line| line.contains(data.to_str().unwrap()))
        };
        let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(|entry| entry.path());
        let number = |path: PathBuf| path.file_name()?.to_str()?.parse().ok().map(Pid::from_raw);
        entries.filter(names_it).filter_map(number).collect()
    }
}

/// Images that have a name are needed.
struct Named;

impl Needs for Named {
    fn in_use(&self) -> std::collections::BTreeSet<Digest> {
        std::collections::BTreeSet::new()
    }

    fn keeps(&self, image: &Unused<'_>) -> bool {
        image.reference.is_some()
    }
}
