//! Users and groups by the names that the image gives them.

use std::io::Read as _;

use homeostat_files::{FileError, Root};

use crate::StepError;

/// No more of /etc/passwd and /etc/group is read, in bytes.
const READ_LIMIT: u64 = 1 << 20;

/// A user as a process has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Its own group and, unless a group was asked for, those of /etc/group.
    pub(crate) groups: Vec<u32>,
    /// The home directory; `/` when the image says nothing about it.
    pub(crate) home: String,
}

/// The user that `USER text` means; nothing means root.
pub(crate) fn user(root: &Root, text: &str) -> Result<User, StepError> {
    let (name, group) = split(if text.is_empty() { "0" } else { text });
    let account = Account::find(root, name)?;
    let uid = match (&account, name.parse()) {
        (Some(account), _) => account.uid,
        (None, Ok(uid)) => uid,
        (None, Err(_)) => return Err(StepError::NoUser { name: name.to_owned() }),
    };
    let more = if group.is_none() { memberships(root, account.as_ref())? } else { Vec::new() };
    let gid = match group {
        Some(group) => group_id(root, group)?,
        None => account.as_ref().map_or(0, |account| account.gid),
    };
    let groups = [gid].into_iter().chain(more.into_iter().filter(|group| *group != gid)).collect();
    let home = account.map(|account| account.home).filter(|home| !home.is_empty());
    Ok(User { uid, gid, groups, home: home.unwrap_or_else(|| "/".to_owned()) })
}

/// The owner and group that `--chown=text` means. A user's number without a group is the group's as well.
pub(crate) fn owner(root: &Root, text: &str) -> Result<(u32, u32), StepError> {
    let (name, group) = split(text);
    let name = if name.is_empty() { "0" } else { name };
    let (uid, own_gid) = match name.parse::<u32>() {
        Ok(uid) => (uid, uid),
        Err(_) => match Account::find(root, name)? {
            Some(account) => (account.uid, account.gid),
            None => return Err(StepError::NoUser { name: name.to_owned() }),
        },
    };
    Ok((uid, group.map_or(Ok(own_gid), |group| group_id(root, group))?))
}

fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((name, group)) if !group.is_empty() => (name, Some(group)),
        Some((name, _)) => (name, None),
        None => (text, None),
    }
}

/// A line of /etc/passwd.
struct Account {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

impl Account {
    /// By name, else by number.
    fn find(root: &Root, name: &str) -> Result<Option<Self>, StepError> {
        let text = read(root, "etc/passwd")?;
        let mut accounts: Vec<Self> = text.lines().filter_map(Self::parse).collect();
        let by_number =
            || name.parse().ok().and_then(|uid: u32| accounts.iter().position(|account| account.uid == uid));
        let found = accounts.iter().position(|account| account.name == name).or_else(by_number);
        Ok(found.map(|at| accounts.swap_remove(at)))
    }

    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(':').collect();
        Some(Self {
            name: (*fields.first()?).to_owned(),
            uid: fields.get(2)?.parse().ok()?,
            gid: fields.get(3)?.parse().ok()?,
            home: fields.get(5).map_or_else(String::new, |home| (*home).to_owned()),
        })
    }
}

fn group_id(root: &Root, name: &str) -> Result<u32, StepError> {
    if let Ok(gid) = name.parse() {
        return Ok(gid);
    }
    let text = read(root, "etc/group")?;
    let found = text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields[0] == name).then(|| fields.get(2)?.parse().ok())?
    });
    found.ok_or_else(|| StepError::NoGroup { name: name.to_owned() })
}

fn memberships(root: &Root, account: Option<&Account>) -> Result<Vec<u32>, StepError> {
    let Some(account) = account else { return Ok(Vec::new()) };
    let text = read(root, "etc/group")?;
    let groups = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        fields.get(3)?.split(',').any(|member| member == account.name).then(|| fields[2].parse().ok())?
    });
    Ok(groups.collect())
}

/// The text of a file of the image; nothing when it is not there.
fn read(root: &Root, path: &str) -> Result<String, StepError> {
    match root.open_to_read(path) {
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(READ_LIMIT).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        Err(error) if FileError::is_not_found(&error) => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_image() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        assert_eq!(user(&root, "").unwrap(), User { uid: 0, gid: 0, groups: vec![0], home: "/".into() });
        assert_eq!(owner(&root, "7").unwrap(), (7, 7));
        fs_err::create_dir(place.path().join("etc")).unwrap();
        fs_err::write(
            place.path().join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:\nbad\n",
        )
        .unwrap();
        fs_err::write(place.path().join("etc/group"), "www:x:34:\nlog:x:40:a,web\nbad\n").unwrap();
        let web = User { uid: 33, gid: 34, groups: vec![34, 40], home: "/srv".into() };
        assert_eq!(user(&root, "web").unwrap(), web);
        assert_eq!(user(&root, "33").unwrap(), web);
        assert_eq!(user(&root, "web:log").unwrap(), User { gid: 40, groups: vec![40], ..web });
        assert_eq!(user(&root, "99").unwrap().gid, 0);
        assert_eq!(owner(&root, "web").unwrap(), (33, 34));
        assert_eq!(owner(&root, "web:log").unwrap(), (33, 40));
        assert_eq!(owner(&root, "5:www").unwrap(), (5, 34));
        assert!(matches!(owner(&root, "nobody"), Err(StepError::NoUser { .. })));
        assert!(matches!(owner(&root, "web:none"), Err(StepError::NoGroup { .. })));
    }
}
