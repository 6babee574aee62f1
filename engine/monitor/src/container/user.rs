//! Who a program runs as: text looked up in the image's `/etc/passwd` and `/etc/group`.

use std::io::Read as _;

use homeostat_files::Root;

use crate::{Failure, FailureKind};

/// More than any sane file has; the image is not trusted.
const FILE_LIMIT: u64 = 1024 * 1024;

/// What the kernel, and `HOME`, get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups, sorted.
    pub(crate) groups: Vec<u32>,
    /// Home directory; `/` for a user that is not in the file.
    pub(crate) home: String,
}

/// Looks up `UID`, `UID:GID`, `USER` or `USER:GROUP`; an empty text is root.
pub(crate) fn look_up(root: &Root, text: &str, additional: &[u32]) -> Result<User, Failure> {
    let passwd = read(root, "/etc/passwd")?;
    let group = read(root, "/etc/group")?;
    resolve(text, additional, &passwd, &group)
}

fn resolve(text: &str, additional: &[u32], passwd: &str, group: &str) -> Result<User, Failure> {
    let (name, group_name) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let account = accounts(passwd).find(|account| account.name == name || account.uid.to_string() == name);
    let uid = match &account {
        Some(account) => account.uid,
        None => id(name).ok_or_else(|| unknown("user", name, "/etc/passwd"))?,
    };
    let mut groups = additional.to_vec();
    let gid = if let Some(wanted) = group_name {
        group_id(wanted, group)?
    } else {
        if let Some(account) = &account {
            groups.extend(memberships(account.name, group));
        }
        account.as_ref().map_or(0, |account| account.gid)
    };
    groups.sort_unstable();
    groups.dedup();
    let home = account.map(|account| account.home).filter(|home| home.starts_with('/')).unwrap_or("/");
    Ok(User { uid, gid, groups, home: home.to_owned() })
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// The lines of passwd(5) that are well-formed.
fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
        Some(Account { name, uid: id(uid)?, gid: id(gid)?, home })
    })
}

fn group_id(wanted: &str, group: &str) -> Result<u32, Failure> {
    let by_name = groups(group).find(|(name, ..)| *name == wanted).map(|(_, gid, _)| gid);
    by_name.or_else(|| id(wanted)).ok_or_else(|| unknown("group", wanted, "/etc/group"))
}

fn memberships(user: &str, group: &str) -> Vec<u32> {
    let is_member = |members: &str| members.split(',').any(|member| member == user);
    groups(group).filter(|(_, _, members)| is_member(members)).map(|(_, gid, _)| gid).collect()
}

/// Name, id and members from the lines of group(5) that are well-formed.
fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let [name, _, gid, members, ..] = fields[..] else { return None };
        Some((name, id(gid)?, members.trim()))
    })
}

/// A user or group id. The largest number means "unchanged" to the kernel: it is none.
fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

fn read(root: &Root, path: &str) -> Result<String, Failure> {
    let failed = |error: &dyn std::error::Error| Failure {
        kind: FailureKind::InvalidRequest,
        message: format!("cannot read {path} of the image: {error}"),
        hint: None,
    };
    if root.metadata(path).map_err(|error| failed(&error))?.is_none() {
        return Ok(String::new());
    }
    let file = root.open_to_read(path).map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn unknown(what: &str, name: &str, file: &str) -> Failure {
    Failure {
        kind: FailureKind::UnknownUser,
        message: format!("the image has no {what} {name} in {file}"),
        hint: Some("use a numeric id, or create it in the image".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# a comment\nbroken:x\nweb:x:33:34::/srv:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nwww:x:34:\nextra:x:50:other,web\nmore:x:51:web\n";

    fn user(text: &str) -> Result<User, Failure> {
        resolve(text, &[7], PASSWD, GROUP)
    }

    fn expected(uid: u32, gid: u32, groups: &[u32], home: &str) -> User {
        User { uid, gid, groups: groups.to_vec(), home: home.to_owned() }
    }

    #[test]
    fn nothing_is_root() {
        assert_eq!(user("").unwrap(), expected(0, 0, &[7], "/root"));
    }

    #[test]
    fn a_name_and_its_id_mean_the_same_account_with_its_groups() {
        let web = expected(33, 34, &[7, 50, 51], "/srv");
        assert_eq!(user("web").unwrap(), web);
        assert_eq!(user("33").unwrap(), web);
    }

    #[test]
    fn a_group_that_is_named_replaces_those_of_the_account() {
        assert_eq!(user("web:extra").unwrap(), expected(33, 50, &[7], "/srv"));
        assert_eq!(user("web:9999").unwrap(), expected(33, 9999, &[7], "/srv"));
    }

    #[test]
    fn an_id_that_is_not_in_the_file_is_taken_as_it_is() {
        assert_eq!(user("1000:1001").unwrap(), expected(1000, 1001, &[7], "/"));
        assert_eq!(user("1000").unwrap(), expected(1000, 0, &[7], "/"));
    }

    #[test]
    fn unknown_names_and_ids_beyond_the_kernels_are_refused() {
        for text in ["nobody", "web:nogroup", "4294967295", "-1", "99999999999"] {
            assert_eq!(user(text).unwrap_err().kind, FailureKind::UnknownUser, "{text}");
        }
    }
}
