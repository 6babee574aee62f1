//! Lines, comments and directives.

use super::{plain, refused};
use crate::case::Case;

/// What both build.
const BUILT: &[(&str, &str)] = &[
    ("comments and empty lines", "# one\n\nFROM base\n  # two\n\n\tRUN echo a > /a # three\n"),
    ("a comment between continued lines", "FROM base\nRUN echo a \\\n# comment\n  # another\n  b > /a\n"),
    ("an empty line between continued lines", "FROM base\nRUN echo a \\\n\n  b > /a\n"),
    ("white space after a continuation", "FROM base\nRUN echo a \\  \n  b > /a\n"),
    ("a continuation at the end", "FROM base\nRUN echo a > /a \\\n"),
    ("lines that end as on Windows", "FROM base\r\nRUN echo a > /a\r\nCOPY a.txt /x\r\n"),
    ("a mark of byte order", "\u{feff}FROM base\nLABEL a=b\n"),
    ("instructions in any case", "from base\nRuN echo a > /a\nlabel A=b\n"),
    ("white space before instructions", "  FROM base\n\tLABEL a=b\n"),
    ("tabs between words", "FROM\tbase\nCOPY\ta.txt\t/x\n"),
    ("several directives", "# escape=`\n# check=skip=all\nFROM base\nLABEL a=`$b\n"),
    ("a directive after a comment is none", "# comment\n# escape=`\nFROM base\nLABEL a=\\$b\n"),
    ("a file without a line break at its end", "FROM base\nLABEL a=b"),
    ("a hash in a word is no comment", "FROM base\nLABEL a=b#c d=#e\n"),
    ("a JSON form over several lines", "FROM base\nCMD [\"a\", \\\n  \"b\"]\n"),
    ("a JSON form with white space", "FROM base\nCMD   [ \"a\" , \"b\" ]  \n"),
    ("a word that is continued in its middle", "FROM base\nLABEL a=on\\\ne\n"),
];

/// What both refuse.
const REFUSED: &[(&str, &str)] = &[
    ("an unknown instruction", "FROM base\nCOPPY a b\n"),
    ("an instruction before the first stage", "RUN x\nFROM base\n"),
    ("nothing at all", "# nothing\n"),
    ("a directive twice", "# escape=`\n# escape=`\nFROM base\n"),
    ("an escape that is none", "# escape=x\nFROM base\n"),
    ("a stage without an image", "FROM\n"),
    ("a stage with too many words", "FROM base AS one two\n"),
    ("a name of a stage that is none", "FROM base AS 1one\n"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = plain(BUILT);
    cases.extend(refused(REFUSED));
    cases.push(
        Case::new("a run of nothing", "FROM base\nRUN\n")
            .differs("only homeostat refuses it", "a command that is forgotten is a mistake"),
    );
    cases
}
