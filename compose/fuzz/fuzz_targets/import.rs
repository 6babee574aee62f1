//! Any bytes as a Compose file, with themselves as every file beside it, give a result, and the same one twice.
//!
//! Run by `scripts/fuzz 600 import`.

#![no_main]

use homeostat_compose::{ComposeFile, Request, Surroundings, import};
use libfuzzer_sys::fuzz_target;

/// Every file is there, with the same content.
struct Same<'a>(&'a [u8]);

impl Surroundings for Same<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        assert!(path.starts_with('/') && !path.split('/').any(|part| matches!(part, "." | "..")));
        Ok(Some(self.0.to_vec()))
    }

    fn exists(&self, _: &str) -> bool {
        true
    }

    fn variable(&self, name: &str) -> Option<String> {
        name.starts_with('A').then(|| name.to_owned())
    }
}

fuzz_target!(|bytes: &[u8]| {
    // One file, with an override file beside it.
    let file = ComposeFile {
        path: "/srv/compose.yaml".to_owned(),
        display: "compose.yaml".to_owned(),
        content: bytes.to_vec(),
    };
    let request =
        Request { files: vec![file], directory: "/srv".to_owned(), app: None, adopt: bytes.len() % 2 == 1 };
    assert_eq!(import(&request, &Same(bytes)), import(&request, &Same(bytes)));
});
