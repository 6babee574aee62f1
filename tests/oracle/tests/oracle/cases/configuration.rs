//! Instructions that say how the image is run.

use super::{plain, refused};
use crate::case::Case;

/// What both build.
const BUILT: &[(&str, &str)] = &[
    ("nothing but a base", "FROM base\n"),
    ("variables are set", "FROM base\nENV A=1 B=\"2 3\" C='4 5' D=6\\ 7\n"),
    ("a variable in the old form", "FROM base\nENV A some text  with spaces\n"),
    ("a variable is set again", "FROM base\nENV A=1\nENV A=2 FROM_BASE=3\n"),
    ("variables see those before the instruction", "FROM base\nENV A=1\nENV A=2 B=$A\n"),
    ("the search path is set", "FROM base\nENV PATH=/x:$PATH\n"),
    ("an empty variable", "FROM base\nENV A= B=\"\"\n"),
    ("labels are set", "FROM base\nLABEL a=1 \"b c\"=\"d e\" of=case\nLABEL a=2\n"),
    ("a label in the old form", "FROM base\nLABEL a some text\n"),
    ("a label with variables and a line break", "FROM base\nENV V=1\nLABEL a=\"x \\\n  y $V\"\n"),
    ("a command in both forms", "FROM base\nCMD echo $HOME && true\nCMD [\"a\", \"b c\"]\n"),
    ("a command in the shell's form", "FROM base\nCMD echo \"a b\"\n"),
    (
        "an entry point takes the base's command away",
        "FROM base AS one\nCMD a\nFROM one\nENTRYPOINT [\"/x\"]\n",
    ),
    ("an entry point after a command keeps it", "FROM base\nCMD [\"a\"]\nENTRYPOINT [\"b\"]\n"),
    ("an entry point in the shell's form", "FROM base\nENTRYPOINT exec top -b\n"),
    ("an empty command and entry point", "FROM base\nCMD []\nENTRYPOINT []\n"),
    ("ports are exposed", "FROM base\nEXPOSE 80 443/tcp 53/udp 9000-9002\n"),
    ("ports with variables", "FROM base\nARG P=8080\nEXPOSE $P ${P}/udp\n"),
    ("a port is exposed again", "FROM base\nEXPOSE 80\nEXPOSE 80/tcp 81/SCTP\n"),
    ("volumes are noted", "FROM base\nVOLUME /a /b\nVOLUME [\"/c\", \"/d e\"]\n"),
    ("a volume with a variable", "FROM base\nENV V=/v\nVOLUME $V/data\n"),
    (
        "what is written to a volume later stays",
        "FROM base\nVOLUME /v\nRUN mkdir -p /v && echo x > /v/file\n",
    ),
    ("a user is set", "FROM base\nUSER web\n"),
    ("a user and group are set", "FROM base\nUSER 33:40\n"),
    ("a user with a variable", "FROM base\nARG U=web\nUSER ${U}:log\n"),
    ("a working directory is created", "FROM base\nWORKDIR /one/two\n"),
    ("a working directory that is there", "FROM base\nWORKDIR /old\n"),
    ("working directories add up", "FROM base\nWORKDIR /one\nWORKDIR two\nWORKDIR ../three\n"),
    ("a working directory with variables and a slash", "FROM base\nENV D=/dir\nWORKDIR $D/x/\n"),
    ("a relative working directory", "FROM base\nWORKDIR x\n"),
    ("a working directory of a user belongs to root", "FROM base\nUSER web\nWORKDIR /mine\n"),
    ("a working directory behind a link", "FROM base\nWORKDIR /alias/new\n"),
    ("a working directory with a space", "FROM base\nWORKDIR /a b\n"),
    ("the root as working directory", "FROM base\nWORKDIR /x\nWORKDIR /\n"),
    ("a signal by name", "FROM base\nSTOPSIGNAL SIGQUIT\n"),
    ("a signal by number with a variable", "FROM base\nARG S=9\nSTOPSIGNAL $S\n"),
    (
        "a shell is set",
        "FROM base\nSHELL [\"/bin/sh\", \"-x\", \"-c\"]\nRUN echo a > /x\nCMD b\nENTRYPOINT c\n",
    ),
    ("an author is set", "FROM base\nMAINTAINER Jo <jo@example.org>\n"),
    ("a health check in the shell's form", "FROM base\nHEALTHCHECK CMD wget -q localhost\n"),
    (
        "a health check with all its flags",
        "FROM base\nHEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2s --start-interval=1s --retries=7 CMD [\"/check\", \"a b\"]\n",
    ),
    ("a health check of none", "FROM base\nHEALTHCHECK CMD x\nHEALTHCHECK NONE\n"),
    (
        "a health check with the stage's shell",
        "FROM base\nSHELL [\"/bin/sh\", \"-x\", \"-c\"]\nHEALTHCHECK CMD x\n",
    ),
    ("a health check with zeros", "FROM base\nHEALTHCHECK --interval=0 --timeout=0s CMD x\n"),
    ("triggers are noted", "FROM base\nONBUILD RUN echo $x\nONBUILD COPY a b\n"),
    ("a command from a base is kept", "FROM base AS one\nCMD [\"a\"]\nFROM one\nENV A=1\n"),
    ("a JSON array that is none is a line for the shell", "FROM base\nCMD ['a', 'b']\n"),
    ("a command with an escape", "FROM base\nCMD [\"a\\tb\", \"\\u00fc\"]\n"),
    ("a build argument is not in the image", "FROM base\nARG A=1\nENV B=$A\n"),
    ("everything about how to run from a parent", "FROM parent\n"),
];

/// What both refuse.
const REFUSED: &[(&str, &str)] = &[
    ("a port that is none", "FROM base\nEXPOSE http\n"),
    ("a protocol that is none", "FROM base\nEXPOSE 80/icmp\n"),
    ("a shell that is no array", "FROM base\nSHELL /bin/sh\n"),
    ("a health check without a command", "FROM base\nHEALTHCHECK --interval=1s\n"),
    ("a health check of another type", "FROM base\nHEALTHCHECK HTTP /\n"),
    ("a health check with a negative time", "FROM base\nHEALTHCHECK --interval=-1s CMD x\n"),
    ("a variable without a value", "FROM base\nENV A\n"),
    ("a variable without a name", "FROM base\nENV =1\n"),
    ("an empty user", "FROM base\nUSER\n"),
    ("two directories to work in are none", "FROM base\nWORKDIR\n"),
    ("a volume without a path", "FROM base\nVOLUME\n"),
    ("a trigger of a trigger", "FROM base\nONBUILD ONBUILD RUN x\n"),
    ("a trigger of another base", "FROM base\nONBUILD FROM base\n"),
    ("a trigger of an author", "FROM base\nONBUILD MAINTAINER me\n"),
    ("a signal that is none", "FROM base\nSTOPSIGNAL SIGNOTHING\n"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = plain(BUILT);
    let parent = "FROM base\nENV A=1\nLABEL l=1\nCMD [\"a\"]\nENTRYPOINT [\"e\"]\nEXPOSE 1\nVOLUME /v\nUSER web\nWORKDIR /w\nSTOPSIGNAL 2\nHEALTHCHECK CMD h\nSHELL [\"/bin/sh\", \"-x\", \"-c\"]\nMAINTAINER me\n";
    let last = cases.pop().unwrap();
    cases.push(last.parent(parent));
    cases.push(
        Case::new("a parent's shell is used", "FROM parent\nRUN echo $- > /x\nCMD y\n")
            .parent("FROM base\nSHELL [\"/bin/sh\", \"-e\", \"-c\"]\n"),
    );
    cases.push(
        Case::new("a parent's health check is taken away", "FROM parent\nHEALTHCHECK NONE\n")
            .parent("FROM base\nHEALTHCHECK --retries=2 CMD h\n"),
    );
    cases.push(
        Case::new("a parent's entry point stays with a new command", "FROM parent\nCMD [\"x\"]\n")
            .parent("FROM base\nENTRYPOINT [\"e\"]\nCMD [\"a\"]\n"),
    );
    cases.push(
        Case::new("a parent's command goes with a new entry point", "FROM parent\nENTRYPOINT [\"x\"]\n")
            .parent("FROM base\nENTRYPOINT [\"e\"]\nCMD [\"a\"]\n"),
    );
    cases.extend(refused(REFUSED));
    cases
}
