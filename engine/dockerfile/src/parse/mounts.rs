//! `RUN --mount`.

use super::shortened;
use crate::Problem;
use crate::file::{Mount, MountKind, Sharing};

/// Reads the flag's value: `type=bind,target=/x,...`.
pub(super) fn mount(text: &str) -> Result<Mount, Problem> {
    let fields: Vec<(String, Option<&str>)> = text.split(',').map(field).collect();
    let kind = match fields.iter().find(|(key, _)| key == "type").and_then(|(_, value)| *value) {
        None | Some("bind") => MountKind::Bind,
        Some("cache") => MountKind::Cache,
        Some("tmpfs") => MountKind::Tmpfs,
        Some("secret") => MountKind::Secret,
        Some("ssh") => MountKind::Ssh,
        Some(other) => return Err(wrong(other, "type=bind, cache, tmpfs, secret or ssh")),
    };
    let mut mount = Mount {
        kind,
        target: None,
        from: None,
        source: None,
        read_only: kind == MountKind::Bind,
        size: None,
        sharing: Sharing::default(),
        id: None,
        uid: 0,
        gid: 0,
        mode: None,
        required: false,
        variable: None,
    };
    for (key, value) in &fields {
        mount.set(key, *value, text)?;
    }
    if kind == MountKind::Secret && mount.id.is_none() && mount.target.is_none() {
        return Err(wrong(text, "id=name"));
    }
    if mount.target.is_none() && !matches!(kind, MountKind::Secret | MountKind::Ssh) {
        return Err(wrong(text, "target=/path"));
    }
    Ok(mount)
}

impl Mount {
    fn set(&mut self, key: &str, value: Option<&str>, text: &str) -> Result<(), Problem> {
        use MountKind::{Bind, Cache, Secret, Ssh, Tmpfs};
        let needed = || {
            value.filter(|value| !value.is_empty()).map(str::to_owned).ok_or_else(|| wrong(text, "key=value"))
        };
        match (key, self.kind) {
            ("type", _) => {}
            ("target" | "dst" | "destination", _) => self.target = Some(needed()?),
            ("source" | "src", Bind | Cache) => self.source = Some(needed()?),
            ("from", Bind | Cache) => self.from = Some(needed()?),
            ("id", Cache | Secret | Ssh) | ("source" | "src", Secret) => self.id = Some(needed()?),
            ("env", Secret) => self.variable = Some(needed()?),
            ("readonly" | "ro", Bind | Cache) => self.read_only = switch(value, text)?,
            ("readwrite" | "rw", Bind | Cache) => self.read_only = !switch(value, text)?,
            ("required", Secret | Ssh) => self.required = switch(value, text)?,
            ("uid", Cache | Secret | Ssh) => self.uid = number(&needed()?, 10, text)?,
            ("gid", Cache | Secret | Ssh) => self.gid = number(&needed()?, 10, text)?,
            ("mode", Cache | Secret | Ssh) => self.mode = Some(number(&needed()?, 8, text)?),
            ("sharing", Cache) => {
                self.sharing = match needed()?.as_str() {
                    "shared" => Sharing::Shared,
                    "private" => Sharing::Private,
                    "locked" => Sharing::Locked,
                    _ => return Err(wrong(text, "sharing=shared, private or locked")),
                };
            }
            ("size", Tmpfs) => {
                self.size = Some(size(&needed()?).ok_or_else(|| wrong(text, "size=64m"))?);
            }
            _ => return Err(wrong(text, "only keys that this type of mount has")),
        }
        Ok(())
    }
}

fn field(text: &str) -> (String, Option<&str>) {
    match text.split_once('=') {
        Some((key, value)) => (key.trim().to_ascii_lowercase(), Some(value)),
        None => (text.trim().to_ascii_lowercase(), None),
    }
}

fn switch(value: Option<&str>, text: &str) -> Result<bool, Problem> {
    match value {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(_) => Err(wrong(text, "true or false")),
    }
}

fn number(value: &str, radix: u32, text: &str) -> Result<u32, Problem> {
    u32::from_str_radix(value, radix).map_err(|_| wrong(text, "numbers"))
}

/// A number of bytes, as Docker writes it: `1024`, `64m`, `2 GiB`; always by powers of 1024.
fn size(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let plain = lower.strip_suffix('b').map_or(&*lower, |text| text.strip_suffix('i').unwrap_or(text));
    let units = [("k", 10), ("m", 20), ("g", 30), ("t", 40), ("p", 50)];
    let unit = units.into_iter().find_map(|(unit, shift)| Some((plain.strip_suffix(unit)?, shift)));
    let (number, shift) = unit.unwrap_or((plain, 0));
    number.trim_end().parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn wrong(value: &str, usage: &'static str) -> Problem {
    Problem::FlagValue { instruction: "RUN", flag: "mount", value: shortened(value), usage }
}
