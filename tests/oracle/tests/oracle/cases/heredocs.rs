//! Heredocs.

use super::{plain, refused};
use crate::case::Case;

/// What both build.
const BUILT: &[(&str, &str)] = &[
    ("a heredoc is a file", "FROM scratch\nCOPY <<EOF /x\none\n  two\nEOF\n"),
    (
        "heredocs are files of their names in a directory",
        "FROM scratch\nCOPY <<one.txt <<two.txt /d/\n1\none.txt\n2\ntwo.txt\n",
    ),
    (
        "variables are put into a heredoc",
        "FROM scratch\nARG A=1\nENV B=\"2 3\"\nCOPY <<EOF /x\n$A ${B} ${C:-c} \\$A \\\\ \"q\" 'q $A'\nEOF\n",
    ),
    (
        "quotes keep variables out of a heredoc",
        "FROM scratch\nARG A=1\nCOPY <<\"EOF\" /x\n$A \\$A \\\\\nEOF\n",
    ),
    ("single quotes keep variables out of a heredoc", "FROM scratch\nARG A=1\nCOPY <<'EOF' /x\n$A\nEOF\n"),
    ("a dash takes tabs off", "FROM scratch\nCOPY <<-EOF /x\n\t\tone\n\t two\n three\n\tEOF\n"),
    ("an empty heredoc is an empty file", "FROM scratch\nCOPY <<EOF /x\nEOF\n"),
    (
        "a heredoc with an owner and a mode",
        "FROM scratch\nCOPY --chown=5:6 --chmod=755 <<EOF /x\n#!/bin/sh\nEOF\n",
    ),
    ("a heredoc beside a file", "FROM scratch\nCOPY a.txt <<EOF /d/\ntext\nEOF\n"),
    (
        "comments and continuations in a heredoc are text",
        "FROM scratch\nCOPY <<EOF /x\n# comment\na \\\nb\n\nEOF\n",
    ),
    (
        "a script runs in the shell",
        "FROM base\nRUN <<EOF\necho one > /x\necho \"two $FROM_BASE\" >> /x\nEOF\n",
    ),
    ("a script is not expanded by the builder", "FROM base\nARG A=1\nRUN <<EOF\nA=2\necho $A > /x\nEOF\n"),
    ("a quoted script runs as well", "FROM base\nRUN <<\"EOF\"\necho '$A' > /x\nEOF\n"),
    (
        "a script with an interpreter",
        "FROM base\nRUN <<EOF\n#!/bin/sh -e\necho \"$0\" | sed 's/.*EOF.*/EOF/' > /dev/null\necho run > /x\nEOF\n",
    ),
    ("a heredoc for a command", "FROM base\nRUN cat <<EOF > /x\nhello $FROM_BASE\nEOF\n"),
    (
        "a heredoc for a command and more after it",
        "FROM base\nRUN cat <<EOF > /x && echo more >> /x\nhello\nEOF\n",
    ),
    ("two heredocs for commands", "FROM base\nRUN cat <<A > /a && cat <<B > /b\n1\nA\n2\nB\n"),
    (
        "a heredoc with a shell of its own",
        "FROM base\nSHELL [\"/bin/sh\", \"-e\", \"-c\"]\nRUN <<EOF\necho $- > /x\nEOF\n",
    ),
    ("a heredoc for an interpreter", "FROM base\nRUN sh <<EOF\necho in > /x\nEOF\n"),
    (
        "a script with a user",
        "FROM base\nRUN mkdir /w && chown web /w\nUSER web\nRUN <<EOF\nid -u > /w/x\nEOF\n",
    ),
    ("an escape character in a heredoc goes", "FROM scratch\nCOPY <<EOF /x\n\\a \\\nb\\\\c\nEOF\n"),
];

/// What both refuse.
const REFUSED: &[(&str, &str)] = &[
    ("a heredoc that does not end", "FROM scratch\nCOPY <<EOF /x\ntext\n"),
    ("a heredoc name in quotes with a space", "FROM scratch\nCOPY <<\"E F\" /x/\ntext\nE F\n"),
    ("a script that fails", "FROM base\nRUN <<EOF\nfalse\nEOF\n"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = plain(BUILT);
    cases.extend(refused(REFUSED));
    cases.push(Case::new("two heredocs to one file", "FROM scratch\nCOPY <<A <<B /x\n1\nA\n2\nB\n").differs(
        "only homeostat refuses it",
        "the reference asks for a slash at its end, and so do later versions",
    ));
    cases.push(
        Case::new(
            "a script with tabs and an interpreter",
            "FROM base\nRUN <<-EOF\n\t#!/bin/sh\n\techo tabs > /x\n\tEOF\n",
        )
        .differs(
            "history 3",
            "Docker looks for the interpreter before it takes the tabs off, and leaves it to the shell",
        ),
    );
    cases
}
