//! What makes a step run again: each case is built, its context or arguments changed, and built again, here and by Docker.
//!
//! The last step writes what is new whenever it runs; so it can be seen in the images whether it ran.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::case::{Case, Outcome};
use crate::image::Image;
use crate::tree::Tree;

/// Something new whenever it runs.
const ANEW: &str = "RUN cat /proc/sys/kernel/random/uuid > /anew\n";

/// A change between two builds.
pub(crate) struct CacheCase {
    pub(crate) first: Case,
    second: Case,
    change: fn(&Path),
    /// Why only this side runs it again, where that is meant.
    careful: Option<&'static str>,
}

/// All of them.
pub(crate) fn all() -> Vec<CacheCase> {
    let same = |name: &str, dockerfile: &str, change: fn(&Path)| {
        let case = Case::new(&format!("cache: {name}"), &format!("{dockerfile}{ANEW}"));
        CacheCase { first: case.clone(), second: case, change, careful: None }
    };
    let argument = |name: &str, dockerfile: &str, argument: &str| {
        let case = same(name, dockerfile, |_| {});
        CacheCase { second: case.second.arg(argument, "2"), first: case.first.arg(argument, "1"), ..case }
    };
    let mounted = |name: &str, change: fn(&Path)| {
        let text = ANEW.replace("RUN", "RUN --mount=target=/ctx,source=dir");
        let case = Case::new(&format!("cache: {name}"), &format!("FROM base\n{text}"));
        CacheCase { first: case.clone(), second: case, change, careful: None }
    };
    let context = |name: &str, change: fn(&Path)| same(name, "FROM base\nCOPY . /context/\n", change);
    vec![
        context("nothing is changed", |_| {}),
        context("the time of a file", |place| write(place, "a.txt", "a.txt\n")),
        context("the content of a file", |place| write(place, "a.txt", "changed\n")),
        context("the mode of a file", |place| mode(&place.join("a.txt"), 0o755)),
        context("the owner of a file", |place| {
            std::os::unix::fs::chown(place.join("a.txt"), Some(7), Some(7)).unwrap();
        }),
        context("a new empty directory", |place| fs_err::create_dir(place.join("new")).unwrap()),
        CacheCase {
            careful: Some("Docker copies the directory as it was"),
            ..context("the mode of a directory", |place| mode(&place.join("dir"), 0o700))
        },
        context("a file that is gone", |place| fs_err::remove_file(place.join("a.txt")).unwrap()),
        context("a file that is called otherwise", |place| {
            fs_err::rename(place.join("a.txt"), place.join("z.txt")).unwrap();
        }),
        context("two names of one file that become two files", |place| {
            fs_err::remove_file(place.join("hard/two")).unwrap();
            fs_err::copy(place.join("hard/one"), place.join("hard/two")).unwrap();
        }),
        context("two files that become two names of one", |place| {
            fs_err::remove_file(place.join("dir/c")).unwrap();
            write(place, "dir/c", "other/c\n");
            fs_err::remove_file(place.join("other/c")).unwrap();
            fs_err::hard_link(place.join("dir/c"), place.join("other/c")).unwrap();
        }),
        context("an attribute of a file", |place| xattr::set(place.join("a.txt"), "user.a", b"1").unwrap()),
        context("where a link leads", |place| {
            fs_err::remove_file(place.join("dir/link")).unwrap();
            fs_err::os::unix::fs::symlink("sub", place.join("dir/link")).unwrap();
        }),
        same("a file that is not copied", "FROM base\nCOPY dir /dir/\n", |place| write(place, "a.txt", "x")),
        mounted("a file that is mounted", |place| write(place, "dir/c", "x")),
        mounted("a file that is not mounted", |place| write(place, "a.txt", "x")),
        same("a comment and spaces", "FROM base\nRUN true\n", |place| {
            write(place, "Dockerfile", &format!("# comment\nFROM   base\nRUN   true\n{ANEW}"));
        }),
        same("a label", "FROM base\nLABEL a=1\n", |place| {
            write(place, "Dockerfile", &format!("FROM base\nLABEL a=2\n{ANEW}"));
        }),
        same("a working directory", "FROM base\nWORKDIR /tmp\n", |place| {
            write(place, "Dockerfile", &format!("FROM base\nWORKDIR /old\n{ANEW}"));
        }),
        same("a variable", "FROM base\nENV A=1\n", |place| {
            write(place, "Dockerfile", &format!("FROM base\nENV A=2\n{ANEW}"));
        }),
        argument("an argument in scope", "FROM base\nARG A\n", "A"),
        argument("an argument that is not declared", "FROM base\n", "A"),
        argument("an argument of the stage before", "FROM base AS one\nARG A\nFROM base\n", "A"),
        argument("a proxy", "FROM base\n", "HTTP_PROXY"),
    ]
}

fn write(place: &Path, path: &str, content: &str) {
    fs_err::write(place.join(path), content).unwrap();
}

fn mode(path: &Path, mode: u32) {
    fs_err::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

impl CacheCase {
    /// The tags of both builds.
    pub(crate) fn tags(number: usize) -> [String; 2] {
        [format!("cache-{number}-1"), format!("cache-{number}-2")]
    }

    /// Builds it twice, in a context of its own.
    pub(crate) fn build(
        &self,
        number: usize,
        place: &Path,
        build: &dyn Fn(&Path, &str, &Case) -> Outcome,
    ) -> Result<(), String> {
        let context: PathBuf = place.join(format!("context-{number}"));
        let [first, second] = Self::tags(number);
        crate::context::write(&context, &first, &self.first);
        build(&context, &first, &self.first)?;
        (self.change)(&context);
        build(&context, &second, &self.second)
    }

    /// How the two sides differ, if they do.
    pub(crate) fn verdict(&self, number: usize, sides: [&dyn Fn(&str) -> Image; 2]) -> Option<String> {
        let tags = Self::tags(number);
        let runs_again = |image: &dyn Fn(&str) -> Image| {
            let [first, second] = [0, 1].map(|which| {
                let tree = Tree::of(&image(&tags[which]).layers);
                tree.nodes()["anew"].content.clone()
            });
            first != second
        };
        let [docker, homeostat] = sides.map(runs_again);
        let expected = docker || self.careful.is_some();
        (homeostat != expected || self.careful.is_some() && docker)
            .then(|| format!("{}: it runs again: {docker} by Docker, {homeostat} here", self.first.name))
    }
}
