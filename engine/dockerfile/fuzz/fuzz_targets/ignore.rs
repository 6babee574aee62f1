//! Whatever a .dockerignore file says, it is read or refused with a line that it has, and every path is left out or not
//! in time that the lengths of the two bound.
//!
//! Run by `scripts/fuzz 600 ignore`.

#![no_main]

use homeostat_dockerfile::Ignore;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    // The path comes after a zero byte.
    let (text, path) = input.split_once('\0').unwrap_or((input, "a/b/c.o"));
    match Ignore::parse(text) {
        Err(error) => assert!((1..=text.lines().count().max(1)).contains(&error.line), "{error}"),
        Ok(ignore) => {
            let ignored = ignore.is_ignored(path);
            assert_eq!(ignored, ignore.is_ignored(path));
            assert!(!ignored || !text.trim().is_empty(), "nothing leaves nothing out");
        }
    }
});
