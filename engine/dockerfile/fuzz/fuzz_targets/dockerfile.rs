//! Whatever a Dockerfile says, it is read or refused with a line that it has, and its words expand or do not: nothing
//! panics and nothing grows without bound.
//!
//! Run by `scripts/fuzz 600 dockerfile`.

#![no_main]

use homeostat_dockerfile::{Command, expand_text, expand_word, expand_words, parse, parse_trigger};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lines = text.lines().count().max(1);
    match parse(text) {
        Err(error) => assert!((1..=lines).contains(&error.line), "{error}"),
        Ok(file) => {
            assert!(!file.stages.is_empty());
            for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
                assert!((1..=lines).contains(&instruction.line));
                if let Command::OnBuild(trigger) = &instruction.command {
                    let _ = parse_trigger(trigger, instruction.line);
                }
            }
        }
    }
    let lookup = |name: &str| (name.len() % 2 == 0).then(|| format!("*{name}/"));
    let _ = expand_word(text, '\\', &lookup);
    let _ = expand_words(text, '`', &lookup);
    let _ = expand_text(text, '\\', &lookup);
});
