//! `--secret` of `homeostat build`.

use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_spec::Secret;

use crate::secrets;

/// A secret, and where it is read from when the build begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretSource {
    id: String,
    from: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    File(PathBuf),
    Variable(String),
}

impl SecretSource {
    /// As Docker writes it: `id=ID,src=FILE` or `id=ID,env=NAME`. With the id alone, the variable of that name or else the
    /// file.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut id, mut from) = (None, None);
        for field in text.split(',') {
            let (key, value) = field.split_once('=').ok_or("a secret is written id=ID,src=FILE")?;
            match key {
                "id" => id = Some(value.to_owned()),
                "src" | "source" => from = Some(Origin::File(value.into())),
                "env" => from = Some(Origin::Variable(value.to_owned())),
                "type" if matches!(value, "file" | "env") => {}
                _ => return Err(format!("a secret has id, src and env, and no `{field}`")),
            }
        }
        let id = id.filter(|id| !id.is_empty()).ok_or("a secret has an id: id=ID,src=FILE")?;
        let from = from.unwrap_or_else(|| match std::env::var_os(&id) {
            Some(_) => Origin::Variable(id.clone()),
            None => Origin::File((&id).into()),
        });
        Ok(Self { id, from })
    }

    /// Its id and content.
    pub(super) fn read(&self) -> Result<(String, Secret), PortError> {
        let secret = match &self.from {
            Origin::File(path) => secrets::read_one(&self.id, path)?,
            Origin::Variable(name) => {
                let value = std::env::var_os(name).ok_or_else(|| {
                    let message = format!("the secret {} has no value: {name} is not set", self.id);
                    PortError::new(ErrorKind::User, message)
                })?;
                secrets::checked(&self.id, value.into_vec())?
            }
        };
        Ok((self.id.clone(), secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_to_write_a_secret() {
        let file = |id: &str, path: &str| Ok(SecretSource { id: id.into(), from: Origin::File(path.into()) });
        assert_eq!(SecretSource::parse("id=a,src=/x"), file("a", "/x"));
        assert_eq!(SecretSource::parse("type=file,id=a,source=x/y"), file("a", "x/y"));
        assert_eq!(SecretSource::parse("id=not-a-variable"), file("not-a-variable", "not-a-variable"));
        let variable = SecretSource { id: "a".into(), from: Origin::Variable("B".into()) };
        assert_eq!(SecretSource::parse("id=a,env=B"), Ok(variable));
        for wrong in ["a", "src=x", "id=,src=x", "id=a,what=b"] {
            assert!(SecretSource::parse(wrong).is_err(), "{wrong}");
        }
    }
}
