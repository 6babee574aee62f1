//! Stages and the arguments that they see.

use super::{plain, refused};
use crate::case::Case;

/// What both build.
const BUILT: &[(&str, &str)] = &[
    (
        "a file from a stage by name",
        "FROM base AS one\nRUN echo one > /made\nFROM scratch\nCOPY --from=one /made /x\n",
    ),
    (
        "a file from a stage by number",
        "FROM base\nRUN echo one > /made\nFROM scratch\nCOPY --from=0 /made /x\n",
    ),
    ("a stage on a stage", "FROM base AS one\nRUN echo one > /one\nENV A=1\nFROM one\nRUN echo $A > /two\n"),
    (
        "names of stages in any case",
        "FROM base AS One\nRUN echo one > /made\nFROM scratch\nCOPY --from=oNE /made /x\n",
    ),
    ("a file from an image", "FROM scratch\nCOPY --from=base /old/file /x\n"),
    ("a directory from an image", "FROM scratch\nCOPY --from=base /old /x/\n"),
    ("a link from a stage is followed", "FROM scratch\nCOPY --from=base /alias /x/\n"),
    ("a link to a file from a stage", "FROM scratch\nCOPY --from=base /bin/sh /x\n"),
    (
        "owners and modes of a stage are kept",
        "FROM base AS one\nRUN echo a > /a && chown web:log /a && chmod 4750 /a\nFROM scratch\nCOPY --from=one /a /d/\n",
    ),
    (
        "an owner for files of a stage",
        "FROM base AS one\nRUN echo a > /a && chown web:log /a\nFROM base\nCOPY --from=one --chown=5:6 --chmod=700 /a /d/\n",
    ),
    ("all of a stage", "FROM base AS one\nRUN rm -r /old\nFROM scratch\nCOPY --from=one / /\n"),
    (
        "special files and hard links of a stage",
        "FROM base AS one\nRUN mkdir /d && echo a > /d/a && ln /d/a /d/b && ln -s a /d/c && mkfifo /d/f\nFROM scratch\nCOPY --from=one /d /d\n",
    ),
    (
        "a wildcard in a stage",
        "FROM base AS one\nRUN touch /a1 /a2 /b\nFROM scratch\nCOPY --from=one /a* /d/\n",
    ),
    (
        "relative paths in a stage begin at its root",
        "FROM base AS one\nWORKDIR /old\nFROM scratch\nCOPY --from=one old/file /x\n",
    ),
    (
        "a stage that is not needed is not built",
        "FROM base AS broken\nRUN false\nFROM base\nRUN echo a > /a\n",
    ),
    (
        "a stage of a stage that is not needed",
        "FROM base AS broken\nRUN false\nFROM broken AS more\nFROM base AS last\nLABEL a=b\n",
    ),
    (
        "a diamond of stages",
        "FROM base AS one\nRUN echo 1 > /1\nFROM one AS left\nRUN echo l > /l\nFROM one AS right\nRUN echo r > /r\nFROM scratch\nCOPY --from=left /1 /l /\nCOPY --from=right /r /\n",
    ),
    ("scratch as the base of everything", "FROM scratch AS one\nCOPY a.txt /\nFROM one\nCOPY b.txt /\n"),
    ("a stage of nothing", "FROM scratch AS empty\nLABEL a=b\nFROM empty\nCOPY a.txt /\n"),
    ("global arguments in a base", "ARG IMAGE=base\nARG NAME=$IMAGE\nFROM $NAME\nRUN echo x > /x\n"),
    ("a default of a global argument in a base", "FROM ${IMAGE:-base}\nLABEL a=b\n"),
    (
        "a global argument is not seen without a declaration",
        "ARG A=global\nFROM base\nRUN echo \"[$A]\" > /x\nARG A\nRUN echo \"[$A]\" > /y\n",
    ),
    ("a default of a stage beats the global one", "ARG A=global\nFROM base\nARG A=stage\nRUN echo $A > /x\n"),
    (
        "arguments end with their stage",
        "FROM base AS one\nARG A=1\nRUN echo $A > /x\nFROM one\nRUN echo \"[$A]\" > /y\n",
    ),
    (
        "arguments depend on each other",
        "ARG A=1\nFROM base\nARG A\nARG B=${A}2\nARG C=${B}3 D=${A}4\nRUN echo $A $B $C $D > /x\n",
    ),
    ("an argument is declared again", "FROM base\nARG A=1\nRUN echo $A > /x\nARG A=2\nRUN echo $A > /y\n"),
    (
        "platform arguments need a declaration",
        "FROM base\nRUN echo \"[$TARGETARCH]\" > /x\nARG TARGETARCH\nARG TARGETPLATFORM\nARG TARGETOS\nARG BUILDPLATFORM\nRUN echo $TARGETARCH $TARGETPLATFORM $TARGETOS $BUILDPLATFORM > /y\n",
    ),
    ("platform arguments in a base", "FROM --platform=$BUILDPLATFORM base AS one\nLABEL a=b\n"),
    ("the platform of this host", "FROM --platform=linux/amd64 base\nLABEL a=b\n"),
    ("a stage named after an image", "FROM base AS base\nRUN echo a > /a\nFROM base\nRUN echo b > /b\n"),
    (
        "copies from two stages into one directory",
        "FROM base AS a\nRUN mkdir /d && echo a > /d/a\nFROM base AS b\nRUN mkdir /d && echo b > /d/b\nFROM scratch\nCOPY --from=a /d /d\nCOPY --from=b /d /d\n",
    ),
    (
        "an environment of a stage in its base",
        "FROM base AS one\nENV A=1 B=$FROM_BASE\nFROM one AS two\nENV C=$A$B\nFROM two\nLABEL c=$C\n",
    ),
    (
        "a copy by link from a stage",
        "FROM base AS one\nRUN echo one > /made\nFROM base\nCOPY --link --from=one /made /x/\n",
    ),
];

/// What both refuse.
const REFUSED: &[(&str, &str)] = &[
    ("an image that is not there", "FROM missing.invalid/image\n"),
    ("a copy from what is not there", "FROM base\nCOPY --from=missing.invalid/x /a /b\n"),
    (
        "a copy from a later stage",
        "FROM base\nCOPY --from=later /old/file /x\nFROM base AS later\nFROM scratch\nCOPY --from=0 /x /x\n",
    ),
    ("a copy from itself", "FROM base AS one\nCOPY --from=one /old/file /x\n"),
    ("a copy of a missing file of a stage", "FROM base AS one\nFROM base\nCOPY --from=one /missing /x\n"),
    ("an empty base", "ARG IMAGE=\nFROM $IMAGE\n"),
    (
        "a command in a stage that is needed fails",
        "FROM base AS one\nRUN false\nFROM base\nCOPY --from=one /old /x\n",
    ),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = plain(BUILT);
    let dockerfile = "FROM base AS one\nRUN echo one > /x\nFROM base AS two\nRUN echo two > /x\nFROM base\nRUN echo three > /x\n";
    cases.extend([
        Case::new("a target by name", dockerfile).target("one"),
        Case::new("a target by another case", dockerfile).target("TWO"),
        Case::new("a target by number", dockerfile)
            .target("1")
            .differs("only Docker refuses it", "numbers are names of stages everywhere else"),
        Case::new("a target that is not there", dockerfile).target("three").refused(),
        Case::new("a given global argument in a base", "ARG IMAGE=missing\nFROM $IMAGE\nLABEL a=b\n")
            .arg("IMAGE", "base"),
        Case::new(
            "a given argument beats both defaults",
            "ARG A=global\nFROM base\nARG A=stage\nRUN echo $A > /x\n",
        )
        .arg("A", "given"),
        Case::new("a given argument that nobody declares", "FROM base\nRUN echo \"[$A]\" > /x\n")
            .arg("A", "given"),
        Case::new(
            "a given argument with an empty value",
            "FROM base\nARG A=default\nRUN echo \"[$A]\" > /x\n",
        )
        .arg("A", ""),
        Case::new(
            "a given platform argument",
            "FROM base\nARG TARGETARCH\nRUN echo \"[$TARGETARCH]\" > /x\n",
        )
        .arg("TARGETARCH", "mine"),
    ]);
    cases.extend(refused(REFUSED));
    cases.push(
        Case::new("a device of a stage", "FROM base AS one\nRUN mkdir /d && mknod /d/null c 1 3 && mknod /d/disk b 7 0\nFROM scratch\nCOPY --from=one /d /d\n")
            .differs("/d/disk: kind", "Docker makes a character device of a block device"),
    );
    cases
}
