//! A disk whose power can be cut.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use homeostat_e2e::{run, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Large enough for the images of the tests; the file has holes where nothing was written.
const SIZE: u64 = 96 << 20;

/// What is on its way to the disk when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing of it arrives: a pulled plug.
    Nothing,
    /// The journal arrives, and with it names of files whose content does not: what the kernel does every few seconds,
    /// just before the plug is pulled.
    Journal,
}

/// ext4 in a file, mounted through a loop device in the mount namespace of the thread.
#[derive(Debug)]
pub struct Disk {
    file: PathBuf,
    target: PathBuf,
    mounted: bool,
}

impl Disk {
    /// Makes an empty one in `file`, to be mounted on `target`.
    pub fn new(file: PathBuf, target: PathBuf) -> Self {
        fs_err::File::create(&file).unwrap().set_len(SIZE).unwrap();
        // All is written at once: nothing of the file system's own making is to be under way later.
        let options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        let path = file.to_str().unwrap();
        run("mkfs.ext4", &["-q", "-F", "-E", options, "-J", "size=4", path]);
        Self { file, target, mounted: false }
    }

    /// Mounts it, and the kernel mends what a cut has left.
    pub fn mount(&mut self) {
        run("mount", &["-o", "loop", self.file.to_str().unwrap(), self.target.to_str().unwrap()]);
        self.mounted = true;
    }

    /// Unmounts it, when the last process that uses it is gone, also those that have it in mounts of their own.
    pub fn unmount(&mut self) {
        wait_until("the disk is not busy", || umount2(&self.target, MntFlags::empty()).is_ok());
        self.mounted = false;
        wait_until("nobody has the disk mounted", || !self.has_device());
    }

    /// Whether there is a loop device for its file: there is while it is mounted anywhere.
    fn has_device(&self) -> bool {
        let devices = fs_err::read_dir("/sys/block").unwrap().map(|device| device.unwrap().path());
        let mut files =
            devices.filter_map(|device| fs_err::read_to_string(device.join("loop/backing_file")).ok());
        files.any(|file| Path::new(file.trim_end()) == self.file)
    }

    /// Writes down what is on it, unmounted, in `file`.
    pub fn keep(&self, file: &Path) {
        copy(&self.file, file);
    }

    /// Makes it what [`keep`](Self::keep) has written down.
    pub fn reset(&mut self, file: &Path) {
        if self.mounted {
            self.unmount();
        }
        copy(file, &self.file);
    }

    /// Cuts it off: what is not on it yet never comes, and nothing else is written or read.
    #[expect(unsafe_code, reason = "an ioctl that has no safe wrapper")]
    pub fn cut(&self, cut: Cut) {
        // EXT4_IOC_SHUTDOWN of ext4.h is _IOR('X', 125, __u32), and reads its argument all the same.
        const SHUTDOWN: rustix::ioctl::Opcode = rustix::ioctl::opcode::read::<u32>(b'X', 125);
        // EXT4_GOING_FLAGS_LOGFLUSH and EXT4_GOING_FLAGS_NOLOGFLUSH.
        let flags = match cut {
            Cut::Journal => 1,
            Cut::Nothing => 2,
        };
        let directory = fs_err::File::open(&self.target).unwrap();
        // SAFETY: the argument is a pointer to a u32, which is what the kernel reads.
        unsafe {
            let request = rustix::ioctl::Setter::<SHUTDOWN, u32>::new(flags);
            rustix::ioctl::ioctl(directory.as_fd(), request).unwrap();
        }
    }

    /// Writes everything to it, as the kernel may at any time.
    pub fn write_back(&self) {
        let directory = fs_err::File::open(&self.target).unwrap();
        rustix::fs::syncfs(directory).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = umount2(&self.target, MntFlags::MNT_DETACH);
        }
    }
}

/// Gives the thread mounts of its own, which end with it.
pub fn own_mounts() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
}

fn copy(from: &Path, to: &Path) {
    run("cp", &["--sparse=always", "--reflink=auto", from.to_str().unwrap(), to.to_str().unwrap()]);
}
