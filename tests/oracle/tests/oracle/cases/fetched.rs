//! `ADD` of files at URLs.

use homeostat_daemons::Web;

use super::{plain, refused};
use crate::archives;
use crate::case::Case;

/// Where the files are, in the test's own network.
const ADDRESS: &str = "127.0.0.1:80";

/// What both build.
const BUILT: &[(&str, &str)] = &[
    ("a fetched file to a name", "FROM scratch\nADD http://127.0.0.1/page.html /x\n"),
    ("a fetched file into a directory", "FROM scratch\nADD http://127.0.0.1/page.html /to/\n"),
    ("a fetched file into a directory that is there", "FROM base\nADD http://127.0.0.1/page.html /old\n"),
    ("a fetched file over a file", "FROM base\nADD http://127.0.0.1/page.html /old/file\n"),
    ("a fetched file to a relative name", "FROM scratch\nWORKDIR /w\nADD http://127.0.0.1/page.html x\n"),
    ("a fetched file by a variable", "FROM scratch\nARG WEB=http://127.0.0.1\nADD $WEB/page.html /x\n"),
    ("a query is no part of a name", "FROM scratch\nADD http://127.0.0.1/page.html?raw=1 /to/\n"),
    ("the name of a fetched file is decoded", "FROM scratch\nADD http://127.0.0.1/a%20page /to/\n"),
    ("a slash at the end of a url", "FROM scratch\nADD http://127.0.0.1/sub/ /to/\n"),
    ("a url without a name", "FROM scratch\nADD http://127.0.0.1/ /to/\n"),
    (
        "a fetched file with owner and mode",
        "FROM scratch\nADD --chown=5:6 --chmod=755 http://127.0.0.1/page.html /x\n",
    ),
    ("a fetched file with a link of its own", "FROM base\nADD --link http://127.0.0.1/page.html /linked/x\n"),
    ("a fetched archive is not unpacked", "FROM scratch\nADD http://127.0.0.1/pack.tar /to/\n"),
    ("two fetched files", "FROM scratch\nADD http://127.0.0.1/page.html http://127.0.0.1/a%20page /to/\n"),
    ("a fetched file and one of the context", "FROM scratch\nADD a.txt http://127.0.0.1/page.html /to/\n"),
    (
        "a fetched file with its checksum",
        "FROM scratch\nADD --checksum=sha256:c6b4252942d0b2ac503024b93753e896b5df3755fe9417abf5f017303f74121c http://127.0.0.1/page.html /x\n",
    ),
];

/// What both refuse.
const REFUSED: &[(&str, &str)] = &[
    ("a url that gives nothing", "FROM scratch\nADD http://127.0.0.1/none /x\n"),
    (
        "a fetched file with another checksum",
        "FROM scratch\nADD --checksum=sha256:c6b4252942d0b2ac503024b93753e896b5df3755fe9417abf5f017303f74121c http://127.0.0.1/a%20page /x\n",
    ),
    (
        "a checksum for two files",
        "FROM scratch\nADD --checksum=sha256:c6b4252942d0b2ac503024b93753e896b5df3755fe9417abf5f017303f74121c http://127.0.0.1/page.html http://127.0.0.1/a%20page /to/\n",
    ),
    ("a checksum that is none", "FROM scratch\nADD --checksum=sha256:1 http://127.0.0.1/page.html /x\n"),
];

pub(super) fn cases() -> Vec<Case> {
    let to_a_name = Case::new(
        "two fetched files to a name",
        "FROM scratch\nADD http://127.0.0.1/page.html http://127.0.0.1/a%20page /x\n",
    );
    let to_a_name = to_a_name.differs("only homeostat refuses it", "Docker overwrites one with the other");
    [plain(BUILT), refused(REFUSED), vec![to_a_name]].concat()
}

/// Serves what they fetch.
pub(crate) fn serve() -> Web {
    let archives = archives::all();
    let (_, pack) = archives.iter().find(|(name, _)| *name == "pack.tar").unwrap();
    let files: [(&str, &[u8]); 5] = [
        ("/", b"the root\n"),
        ("/page.html", b"a page\n"),
        ("/a%20page", b"another page\n"),
        ("/sub/", b"a directory\n"),
        ("/pack.tar", pack),
    ];
    Web::serve(ADDRESS, &files)
}
