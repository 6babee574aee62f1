//! Variables in words.

use super::{plain, refused};
use crate::case::Case;

/// Words that are the value of a label, with what they mean to each builder.
const WORDS: &[&str] = &[
    "$A",
    "${A}",
    "x$A-y",
    "$Axy",
    "${A}xy",
    "$missing",
    "a$",
    "$.",
    "\\$A",
    "\\\\$A",
    "'$A'",
    "\"$A\"",
    "\"\\$A\"",
    "'\\$A'",
    "\"a\\b\"",
    "a\\b",
    "a\\ b",
    "\"a b\"'c d'e",
    "${missing:-d}",
    "${empty:-d}",
    "${empty-d}",
    "${missing-d}",
    "${A:-d}",
    "${A:+s}",
    "${empty:+s}",
    "${empty+s}",
    "${missing+s}",
    "${missing:-$A}",
    "${missing:-${empty:-x}}",
    "${A:?no}",
    "${empty?no}",
    "${path#*/}",
    "${path##*/}",
    "${path%/*}",
    "${path%%/*}",
    "${file#*.}",
    "${file##*.}",
    "${file%.*}",
    "${file%%.*}",
    "${file%none}",
    "${file/a/X}",
    "${file//a/X}",
    "${path/\\//_}",
    "${path//\\//_}",
    "${file/?/X}",
    "${file//[.]/X}",
    "${A:-\"q u\"}",
    "${missing:-'s q'}",
    "${missing:-a\\}b}",
    "$1",
    "$A$B",
    "${A}${B}",
    "~",
    "*",
    "`$A`",
    "\"'$A'\"",
    "'\"$A\"'",
    "${two}",
    "\u{fc}$A",
];

pub(super) fn cases() -> Vec<Case> {
    let head = "FROM base\nENV A=value empty= path=/usr/local/bin file=a.tar.gz two=\"1 2\"\nARG B=b\n";
    let mut cases: Vec<Case> = WORDS
        .iter()
        .map(|word| Case::new(&format!("the word {word} as a label"), &format!("{head}LABEL l={word}\n")))
        .collect();
    cases.extend(plain(&[
        ("variables in every instruction that takes them", "FROM base\nARG V=v\nENV E=/$V\nADD a.txt $E/\nCOPY b.txt ${E}x\nEXPOSE ${P:-80}\nLABEL l=$V $V=l\nSTOPSIGNAL ${S:-9}\nUSER ${V}\nVOLUME $E $V\nWORKDIR $E\n"),
        ("variables stay in commands", "FROM base\nENV A=1\nCMD echo $A\nENTRYPOINT [\"$A\"]\nHEALTHCHECK CMD $A\n"),
        ("a variable that holds words", "FROM base\nENV A=\"1 2\"\nEXPOSE $A\nLABEL a=$A\nENV B=$A\n"),
        ("a backtick escapes where the directive says so", "# escape=`\nFROM base\nENV A=1 B=C:\\`\n\\x D=`$A E=\\$A\n"),
        ("a backtick continues lines", "# escape=`\nFROM base\nRUN echo a `\n && echo b > /x\n"),
    ]));
    cases.extend(refused(&[
        ("a brace that is not closed", "FROM base\nLABEL l=${A\n"),
        ("a required variable that is missing", "FROM base\nLABEL l=${A:?needed}\n"),
        ("a required variable that is empty", "FROM base\nENV A=\nLABEL l=${A:?needed}\n"),
        ("a modifier that does not exist", "FROM base\nLABEL l=${A:x}\n"),
        ("a variable without a name in braces", "FROM base\nLABEL l=${}\n"),
    ]));
    cases
}
