//! `COPY`.

use super::{plain, refused};
use crate::case::Case;

/// What both build.
const BUILT: &[(&str, &str)] = &[
    ("a file is copied to a new name", "FROM scratch\nCOPY a.txt /new\n"),
    ("a file is copied into a directory that is named as one", "FROM scratch\nCOPY a.txt /into/\n"),
    ("a file is copied into a directory that is there", "FROM base\nCOPY a.txt /old\n"),
    ("a file replaces a file", "FROM base\nCOPY a.txt /old/file\n"),
    ("a file replaces a link", "FROM base\nCOPY a.txt /bin/sh\n"),
    ("a file goes through a link to a directory", "FROM base\nCOPY a.txt /alias/\n"),
    ("a file goes through a link to a directory without a slash", "FROM base\nCOPY a.txt /alias\n"),
    ("a file goes through an absolute link", "FROM base\nCOPY a.txt /var/run/\n"),
    ("a file goes beneath a link that leads nowhere", "FROM base\nCOPY a.txt /dangling/file\n"),
    ("parents of a destination are created", "FROM scratch\nCOPY a.txt /one/two/three\n"),
    ("the context is copied as a whole", "FROM scratch\nCOPY . /\n"),
    ("the context is copied into a directory", "FROM scratch\nCOPY . /all/\n"),
    ("the context is copied into a directory without a slash", "FROM scratch\nCOPY . /all\n"),
    ("a slash is the context", "FROM scratch\nCOPY / /all\n"),
    ("a directory gives its content", "FROM scratch\nCOPY dir /to\n"),
    ("a directory with a slash gives its content", "FROM scratch\nCOPY dir/ /to/\n"),
    ("a directory with a dot gives its content", "FROM scratch\nCOPY dir/. /to/\n"),
    ("two directories are merged", "FROM scratch\nCOPY dir other /to/\n"),
    ("files and directories come together", "FROM scratch\nCOPY a.txt dir tool /to/\n"),
    ("an empty directory is copied", "FROM scratch\nCOPY empty /empty\n"),
    ("an empty directory into one that is there", "FROM base\nCOPY empty /old/\n"),
    ("a directory behind a link is filled", "FROM base\nCOPY merge/var/run /var/run\n"),
    ("modes are kept", "FROM scratch\nCOPY a.txt b.txt tool setuid /m/\n"),
    ("modes of directories are kept", "FROM scratch\nCOPY many /many\nCOPY . /all\n"),
    ("hard links stay such", "FROM scratch\nCOPY hard /hard\n"),
    ("one of two hard links is a file", "FROM scratch\nCOPY hard/one /one\n"),
    ("a link alone is followed", "FROM scratch\nCOPY links/file /x\n"),
    ("a link in a directory stays a link", "FROM scratch\nCOPY links /links\n"),
    ("a link to a directory gives its content", "FROM scratch\nCOPY links/directory /x\n"),
    ("a path through a link is followed", "FROM scratch\nCOPY links/directory/sub/d /x\n"),
    ("a link through a link is followed", "FROM scratch\nCOPY links/through /x\n"),
    ("a link named by a wildcard", "FROM scratch\nCOPY links/f* /x/\n"),
    ("a link with a directory destination", "FROM scratch\nCOPY links/file /x/\n"),
    ("a wildcard selects files", "FROM scratch\nCOPY *.txt /t/\n"),
    ("a wildcard selects files and directories", "FROM scratch\nCOPY many/* /t/\n"),
    ("a wildcard that matches nothing copies nothing", "FROM base\nCOPY *.none /x\n"),
    ("a wildcard that matches nothing beside a file", "FROM scratch\nCOPY a.txt yarn.lock* /x/\n"),
    ("a question mark is one character", "FROM scratch\nCOPY many/? /t/\n"),
    ("a class is one of its characters", "FROM scratch\nCOPY [ab].txt /t/\n"),
    ("a negated class is none of its characters", "FROM scratch\nCOPY many/[^1]* /t/\n"),
    ("brackets are taken as they are behind a class", "FROM scratch\nCOPY names/[[]brackets] /t/\n"),
    ("an escaped star is a star", "FROM scratch\nCOPY [\"names/star\\\\*\", \"/t/\"]\n"),
    ("a double star crosses no directories", "FROM scratch\nCOPY **/d /t/\n"),
    ("hidden files match wildcards", "FROM scratch\nCOPY names/* /t/\n"),
    ("names with spaces need the JSON form", "FROM scratch\nCOPY [\"names/with space\", \"/a b\"]\n"),
    ("a name that begins with a dash", "FROM scratch\nCOPY names/-dash /x\n"),
    ("an umlaut in a name", "FROM scratch\nCOPY names/\u{fc}mlaut /\u{e4}/\n"),
    ("paths with dots are cleaned", "FROM scratch\nCOPY ./dir/../a.txt /x/../y/./z\n"),
    ("paths above the context end at it", "FROM scratch\nCOPY ../../a.txt /x\n"),
    (
        "a relative destination is beneath the working directory",
        "FROM scratch\nWORKDIR /w/x\nCOPY a.txt y/\nCOPY b.txt z\nCOPY tool .\nCOPY c.md ./\nCOPY c.md ../up\n",
    ),
    ("a destination of a dot without a working directory", "FROM scratch\nCOPY a.txt .\n"),
    ("an owner by number", "FROM scratch\nCOPY --chown=5:6 dir /to\n"),
    ("an owner by number is its group too", "FROM scratch\nCOPY --chown=5 a.txt /to/x\n"),
    ("an owner by name", "FROM base\nCOPY --chown=web a.txt /to/x\n"),
    ("an owner and group by name", "FROM base\nCOPY --chown=web:log a.txt /to/x\n"),
    ("an owner by number with a group by name", "FROM base\nCOPY --chown=5:log a.txt /to/x\n"),
    ("an owner of nothing but a group", "FROM base\nARG G=log\nCOPY --chown=:$G a.txt /v\n"),
    ("an owner in a directory that is there", "FROM base\nCOPY --chown=web dir /old\n"),
    ("an owner of links", "FROM base\nCOPY --chown=web links /l\n"),
    ("a mode for a file", "FROM scratch\nCOPY --chmod=640 a.txt /x\n"),
    ("a mode with four digits", "FROM scratch\nCOPY --chmod=4711 a.txt /x\n"),
    ("a mode for all in a directory", "FROM scratch\nCOPY --chmod=700 dir /x\n"),
    ("a mode and an owner", "FROM scratch\nCOPY --chmod=0400 --chown=9:9 dir /x\n"),
    ("a mode for links", "FROM scratch\nCOPY --chmod=700 links /x\n"),
    ("variables in flags and paths", "FROM scratch\nARG D=dir\nENV T=/to\nCOPY --chown=${U:-3} $D $T/$D\n"),
    ("a link makes a layer of its own", "FROM base\nCOPY --link a.txt /old/\n"),
    ("a link with an owner by number", "FROM base\nCOPY --link --chown=5:6 dir /linked/\n"),
    ("a link that is false", "FROM base\nCOPY --link=false a.txt /alias/\n"),
    ("extended attributes come along", "FROM scratch\nCOPY tool /tool\n"),
    ("a sparse file is whole", "FROM scratch\nCOPY sparse /sparse\n"),
    ("an archive is copied as it is", "FROM scratch\nCOPY pack.tar pack.tgz /\n"),
    ("the same file twice", "FROM scratch\nCOPY a.txt /x\nCOPY a.txt /x\nCOPY b.txt /x\n"),
    ("a file that was removed comes again", "FROM base\nRUN rm -r /old && mkdir /old\nCOPY a.txt /old/\n"),
    ("a source of a directory with trailing slashes to a file's name", "FROM scratch\nCOPY a.txt /x//y//z\n"),
    ("the instruction in small letters", "FROM scratch\ncopy a.txt /x\n"),
    ("a copy of the Dockerfile itself", "FROM scratch\nCOPY Dockerfile /d\n"),
    ("a destination with a trailing dot", "FROM scratch\nCOPY a.txt /x/.\n"),
];

/// What both refuse.
const REFUSED: &[(&str, &str)] = &[
    ("a source that is not there", "FROM scratch\nCOPY missing /x\n"),
    ("a directory over a file", "FROM base\nCOPY dir /old/file\n"),
    ("a file beneath a file", "FROM base\nCOPY a.txt /old/file/x\n"),
    ("a file over a directory of a source", "FROM base\nCOPY a.txt /x\nCOPY dir /x\n"),
    ("a copy without a destination", "FROM scratch\nCOPY a.txt\n"),
    ("an owner by name without a list of users", "FROM scratch\nCOPY --chown=web a.txt /x\n"),
    ("a flag that does not exist", "FROM scratch\nCOPY --what=1 a.txt /x\n"),
    ("a link that leads out of the context", "FROM scratch\nCOPY links/out/hostname /x\n"),
    ("a link that leads nowhere is followed alone", "FROM scratch\nCOPY links/nowhere /x\n"),
    ("a link in a circle is followed", "FROM scratch\nCOPY links/loop /x\n"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = plain(BUILT);
    let followed = "Docker looks for what links in the directory lead to, and has not sent it";
    cases.extend(
        [
            Case::new("a wildcard selects directories, whose content it is", "FROM scratch\nCOPY di* /t/\n"),
            Case::new("a wildcard in the middle", "FROM scratch\nCOPY */sub /t/\n"),
        ]
        .map(|case| case.differs("only Docker refuses it", followed)),
    );
    let link = "links to directories in the image are followed inside it, as on the way to a destination";
    cases.push(
        Case::new("a directory of a source goes behind a link", "FROM base\nCOPY merge /\n")
            .differs("only Docker refuses it", link),
    );
    cases.push(
        Case::new(
            "directories of a source make those that are there like themselves",
            "FROM base\nRUN chmod 711 /old && chown web /old\nCOPY --chown=3:4 m /\n",
        )
        .file("m/old/new", "x"),
    );
    cases.extend(refused(REFUSED));
    cases.push(
        Case::new("several files to what is no directory", "FROM scratch\nCOPY a.txt b.txt /x\n").differs(
            "only homeostat refuses it",
            "the reference asks for a slash at its end, and so do later versions",
        ),
    );
    cases.push(
        Case::new("an owner that the image does not have", "FROM base\nCOPY --chown=nobody a.txt /x\n")
            .differs("only homeostat refuses it", "a name that means nobody is a mistake"),
    );
    cases.push(
        Case::new("a group that the image does not have", "FROM base\nCOPY --chown=web:nobody a.txt /x\n")
            .differs("only homeostat refuses it", "a name that means nobody is a mistake"),
    );
    cases.push(
        Case::new("a mode that is none", "FROM scratch\nCOPY --chmod=rwx a.txt /x\n")
            .differs("only homeostat refuses it", "Docker 26.1 takes what is no number for none"),
    );
    cases
}
