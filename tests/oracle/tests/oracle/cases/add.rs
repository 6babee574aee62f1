//! `ADD` of files and archives.

use super::{plain, refused};
use crate::case::Case;

/// What both build.
const BUILT: &[(&str, &str)] = &[
    ("an added file is a copied file", "FROM scratch\nADD a.txt /x\n"),
    ("an added directory is a copied directory", "FROM scratch\nADD dir /x/\n"),
    ("a tar archive is unpacked", "FROM scratch\nADD pack.tar /to/\n"),
    ("a tar archive is unpacked without a slash", "FROM scratch\nADD pack.tar /to\n"),
    ("a tar archive is unpacked into the root", "FROM base\nADD pack.tar /\n"),
    ("a gzipped archive is unpacked", "FROM scratch\nADD pack.tgz /to/\n"),
    ("a bzip2 archive is unpacked", "FROM scratch\nADD pack.tar.bz2 /to/\n"),
    ("an xz archive is told by its content", "FROM scratch\nADD pack-xz /to/\n"),
    ("a zstd archive is unpacked", "FROM scratch\nADD pack.tar.zst /to/\n"),
    ("what is compressed but no archive is copied", "FROM scratch\nADD text.gz /to/\n"),
    ("what is only called an archive is copied", "FROM scratch\nADD fake.tar /to/\n"),
    (
        "an archive goes over what is there",
        "FROM base\nRUN mkdir /pack && echo old > /pack/file\nADD pack.tar /\n",
    ),
    ("an archive goes through a link", "FROM base\nADD pack.tar /alias/\n"),
    ("an archive with an owner", "FROM scratch\nADD --chown=5:6 pack.tar /to/\n"),
    ("an archive with a mode", "FROM scratch\nADD --chmod=700 pack.tar /to/\n"),
    ("archives and files together", "FROM scratch\nADD pack.tar a.txt /to/\n"),
    ("archives of a directory are not unpacked", "FROM scratch\nADD . /all/\n"),
    ("archives by a wildcard are unpacked", "FROM scratch\nADD pack.tar* /to/\n"),
    ("an archive with a link of its own", "FROM base\nADD --link pack.tar /linked/\n"),
    ("an added heredoc", "FROM scratch\nADD <<EOF /x\ntext\nEOF\n"),
    ("an archive to a relative directory", "FROM scratch\nWORKDIR /w\nADD pack.tgz to\n"),
];

/// What both refuse.
const REFUSED: &[(&str, &str)] = &[
    ("an archive over a file", "FROM base\nADD pack.tar /old/file\n"),
    (
        "a checksum for what is no remote source",
        "FROM scratch\nADD --checksum=sha256:0000000000000000000000000000000000000000000000000000000000000000 a.txt /x\n",
    ),
    ("an added file that is not there", "FROM scratch\nADD missing /x\n"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = plain(BUILT);
    cases.extend(refused(REFUSED));
    cases
}
