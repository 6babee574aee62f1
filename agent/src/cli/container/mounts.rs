//! `--volume`, `--mount` and `--tmpfs`, as a spec writes them.

use fs_err as fs;
use homeostat_reconciler::{ErrorKind, PortError};

/// What is mounted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mounts {
    /// `SOURCE:TARGET[:ro]`.
    pub(super) volumes: Vec<String>,
    /// Targets of file systems in memory.
    pub(super) tmpfs: Vec<String>,
    /// Names of the volumes that are mounted.
    pub(super) named: Vec<String>,
    /// Names of those that go with the container.
    pub(super) anonymous: Vec<String>,
}

impl Mounts {
    /// From what the options say for a container of this name.
    ///
    /// # Errors
    /// When one of them is not understood, or a path of the host is not there.
    pub(super) fn of(
        container: &str,
        volumes: &[String],
        mounts: &[String],
        tmpfs: &[String],
    ) -> Result<Self, PortError> {
        let mut all = Self { tmpfs: tmpfs.to_vec(), ..Self::default() };
        for text in volumes {
            all.volume(container, text)?;
        }
        for text in mounts {
            all.mount(container, text)?;
        }
        Ok(all)
    }

    /// `TARGET`, or `SOURCE:TARGET[:ro|:rw]`. A path of the host is made if it is not there, as Docker does.
    fn volume(&mut self, container: &str, text: &str) -> Result<(), PortError> {
        match text.split_once(':') {
            None => self.anonymous_volume(container, text, ""),
            Some((source, rest)) if source.starts_with(['.', '/']) => {
                if fs::metadata(source).is_err() {
                    fs::create_dir_all(source).map_err(|error| refuse(error.to_string()))?;
                }
                self.host_path(source, rest)?;
            }
            Some((name, rest)) => self.named_volume(name, rest),
        }
        Ok(())
    }

    /// `type=volume|bind|tmpfs,source=SOURCE,target=TARGET[,readonly]`, with Docker's short names of the keys.
    fn mount(&mut self, container: &str, text: &str) -> Result<(), PortError> {
        let (mut kind, mut source, mut target, mut option) = ("volume", None, None, "");
        for field in text.split(',') {
            let (key, value) = field.split_once('=').unwrap_or((field, "true"));
            match (key, value) {
                ("type", value) => kind = value,
                ("source" | "src", value) => source = Some(value),
                ("target" | "dst" | "destination", value) => target = Some(value),
                ("readonly" | "ro", "true" | "1") => option = ":ro",
                ("readonly" | "ro", "false" | "0") => option = "",
                _ => return Err(refuse(format!("--mount: {field:?} is not understood"))),
            }
        }
        let target = target.ok_or_else(|| refuse(format!("--mount: {text:?} has no target=")))?;
        match (kind, source) {
            ("volume", Some(name)) => self.named_volume(name, &format!("{target}{option}")),
            ("volume", None) => self.anonymous_volume(container, target, option),
            ("bind", Some(path)) => self.host_path(path, &format!("{target}{option}"))?,
            ("tmpfs", None) => self.tmpfs.push(target.to_owned()),
            ("bind", None) => return Err(refuse(format!("--mount: {text:?} has no source="))),
            ("tmpfs", Some(_)) => return Err(refuse("--mount: a tmpfs has no source".to_owned())),
            (kind, _) => {
                return Err(refuse(format!("--mount: {kind:?} is none of volume, bind and tmpfs")));
            }
        }
        Ok(())
    }

    fn named_volume(&mut self, name: &str, rest: &str) {
        self.volumes.push(format!("{name}:{rest}"));
        if !self.named.iter().any(|known| known == name) {
            self.named.push(name.to_owned());
        }
    }

    fn anonymous_volume(&mut self, container: &str, target: &str, option: &str) {
        let name = format!("{container}-{}", self.anonymous.len() + 1);
        self.volumes.push(format!("{name}:{target}{option}"));
        self.anonymous.push(name);
    }

    /// A path as seen from here becomes one of the host.
    fn host_path(&mut self, path: &str, rest: &str) -> Result<(), PortError> {
        let absolute = fs::canonicalize(path).map_err(|error| refuse(error.to_string()))?;
        let absolute = absolute.to_str().ok_or_else(|| refuse(format!("{path:?} is not UTF-8")))?;
        self.volumes.push(format!("{absolute}:{rest}"));
        Ok(())
    }
}

fn refuse(message: String) -> PortError {
    PortError::new(ErrorKind::User, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(volumes: &[&str], mounts: &[&str]) -> Result<Mounts, PortError> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Mounts::of("x", &texts(volumes), &texts(mounts), &[])
    }

    #[test]
    fn volumes_are_named_anonymous_or_paths_of_the_host() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap().to_str().unwrap().to_owned();
        let new = format!("{root}/new");
        let mounts = of(
            &["data:/data:ro", "/cache", &format!("{new}:/new")],
            &["type=bind,src=/etc,dst=/e,readonly", "source=data,target=/d", "type=tmpfs,target=/t"],
        )
        .unwrap();
        let volumes = ["data:/data:ro", "x-1:/cache", &format!("{new}:/new"), "/etc:/e:ro", "data:/d"]
            .map(str::to_owned);
        assert_eq!(mounts.volumes, volumes);
        assert_eq!((mounts.named, mounts.anonymous), (vec!["data".to_owned()], vec!["x-1".to_owned()]));
        assert_eq!(mounts.tmpfs, ["/t"]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "type=bind,dst=/e",
            "src=data",
            "type=nfs,dst=/e",
            "target=/e,speed=high",
            "type=tmpfs,src=a,dst=/t",
        ] {
            assert!(of(&[], &[text]).is_err(), "{text}");
        }
        assert!(of(&[], &["type=bind,src=/not/there,dst=/e"]).is_err(), "it is not made, as by Docker");
    }
}
