//! Which engine a data directory was used with.
//!
//! What another engine runs is out of sight: were it changed while containers are there, they would go on running beside
//! those of the new one, with their ports and their data.

use homeostat_files::write_durably;
use homeostat_reconciler::ports::Stored;
use homeostat_reconciler::{ErrorKind, PortError};

use crate::engines::EngineName;
use crate::host::Directories;

/// Notes that the data directory is used with this engine.
///
/// # Errors
/// Of kind `Config` when it was used with another one that has containers of homeostat; also when the note cannot be
/// read or written.
pub(crate) fn claim(directories: &Directories, engine: EngineName, stored: &Stored) -> Result<(), PortError> {
    let file = directories.data.join("engine");
    let unusable = |error| {
        PortError::new(ErrorKind::Config, "the note of the engine in use cannot be read").caused_by(error)
    };
    let known = match fs_err::read_to_string(&file) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(unusable(error)),
    };
    // Before there was a choice there was no note.
    let used_with = known.clone().unwrap_or_else(|| EngineName::Embedded.to_string());
    let chosen = engine.to_string();
    if used_with != chosen && !stored.record.containers.is_empty() {
        return Err(has_containers(&used_with, &chosen, &file));
    }
    if known.as_ref() == Some(&chosen) {
        return Ok(());
    }
    write_durably(&file, format!("{chosen}\n").as_bytes()).map_err(|error| {
        PortError::new(ErrorKind::Config, "the engine in use cannot be noted").caused_by(error)
    })
}

fn has_containers(used_with: &str, chosen: &str, file: &std::path::Path) -> PortError {
    let message = format!("the engine {chosen} is chosen, and {used_with} has containers of homeostat");
    let hint = format!(
        "go on with --engine {used_with}; or remove them with `homeostat agent --down --engine {used_with}` (volumes \
         that are retained stay there); or, if {used_with} is no more, remove {}",
        file.display()
    );
    PortError::new(ErrorKind::Config, message).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use homeostat_reconciler::{ContainerRecord, Record};

    use super::*;

    fn directories(root: &tempfile::TempDir) -> Directories {
        Directories { data: root.path().to_owned(), run: root.path().to_owned() }
    }

    fn with_containers() -> Stored {
        let known = ContainerRecord { id: Some("1".to_owned()), ..ContainerRecord::default() };
        let record = Record { containers: [("web/web".parse().unwrap(), known)].into(), ..Record::default() };
        Stored { record, ..Stored::default() }
    }

    #[test]
    fn another_engine_is_refused_while_the_one_in_use_has_containers() {
        let root = tempfile::tempdir().unwrap();
        let directories = directories(&root);
        claim(&directories, EngineName::Docker, &Stored::default()).unwrap();
        claim(&directories, EngineName::Docker, &with_containers()).unwrap();
        let error = claim(&directories, EngineName::Podman, &with_containers()).unwrap_err();
        assert_eq!(error.message, "the engine podman is chosen, and docker has containers of homeostat");
        assert!(error.hint.unwrap().contains("homeostat agent --down --engine docker"));
        claim(&directories, EngineName::Docker, &with_containers()).unwrap();
    }

    #[test]
    fn another_engine_takes_over_once_the_one_in_use_has_none() {
        let root = tempfile::tempdir().unwrap();
        let directories = directories(&root);
        claim(&directories, EngineName::Docker, &with_containers()).unwrap_err();
        claim(&directories, EngineName::Docker, &Stored::default()).unwrap();
        claim(&directories, EngineName::Embedded, &Stored::default()).unwrap();
        claim(&directories, EngineName::Embedded, &with_containers()).unwrap();
    }

    #[test]
    fn containers_of_a_time_without_a_note_are_the_embedded_engines() {
        let root = tempfile::tempdir().unwrap();
        let directories = directories(&root);
        let error = claim(&directories, EngineName::Docker, &with_containers()).unwrap_err();
        assert!(error.message.contains("embedded has containers"), "{}", error.message);
        claim(&directories, EngineName::Embedded, &with_containers()).unwrap();
        assert_eq!(fs_err::read_to_string(root.path().join("engine")).unwrap(), "embedded\n");
    }
}
