//! Users and groups by the names that a tree gives them.

use std::io::Read as _;

use crate::{FileError, Root};

/// More than any sane file has, in bytes. The tree is not trusted.
const LIMIT: u64 = 1 << 20;

/// What a tree says in `/etc/passwd` (passwd(5)) and `/etc/group` (group(5)). Lines that are malformed are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    passwd: String,
    group: String,
}

/// A user as a process has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The user's group.
    pub gid: u32,
    /// More groups, sorted: those that the user is a member of, unless a group was asked for.
    pub groups: Vec<u32>,
    /// The home directory; `/` for a user of whom none is known.
    pub home: String,
}

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account<'a> {
    /// The user's name.
    pub name: &'a str,
    /// The user.
    pub uid: u32,
    /// The user's group.
    pub gid: u32,
    home: &'a str,
}

/// A name that the tree does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownName {
    /// Of a user.
    #[error("there is no user {0} in /etc/passwd")]
    User(String),
    /// Of a group.
    #[error("there is no group {0} in /etc/group")]
    Group(String),
}

impl Accounts {
    /// Reads both files; one that is not there says nothing.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn read(root: &Root) -> Result<Self, FileError> {
        Ok(Self { passwd: read(root, "etc/passwd")?, group: read(root, "etc/group")? })
    }

    /// The user that `USER`, `USER:GROUP` or the same with numbers means. No text is root. A number needs no account.
    ///
    /// # Errors
    /// For a name that is not in its file, and a number that is none.
    pub fn user(&self, text: &str) -> Result<User, UnknownName> {
        let (name, group) = Self::split(text);
        let account = self.account(name);
        let uid = match &account {
            Some(account) => account.uid,
            None => id(name).ok_or_else(|| UnknownName::User(name.to_owned()))?,
        };
        let (gid, mut groups) = match (group, &account) {
            (Some(group), _) => (self.group_id(group)?, Vec::new()),
            (None, Some(account)) => (account.gid, self.memberships(account.name)),
            (None, None) => (0, Vec::new()),
        };
        groups.sort_unstable();
        groups.dedup();
        let home = account.map(|account| account.home).filter(|home| home.starts_with('/')).unwrap_or("/");
        Ok(User { uid, gid, groups, home: home.to_owned() })
    }

    /// The two halves of `USER:GROUP`. No user is root; an empty group is none.
    pub fn split(text: &str) -> (&str, Option<&str>) {
        let (name, group) = text.split_once(':').unwrap_or((text, ""));
        (if name.is_empty() { "0" } else { name }, Some(group).filter(|group| !group.is_empty()))
    }

    /// The account with a name or a number: the first one, as for Docker.
    pub fn account(&self, name: &str) -> Option<Account<'_>> {
        let mut accounts = self.passwd.lines().filter_map(account);
        accounts.find(|account| account.name == name || account.uid.to_string() == name)
    }

    /// The group with a name, else with a number, whether it is there or not.
    ///
    /// # Errors
    /// For a name that is not in the file.
    pub fn group_id(&self, name: &str) -> Result<u32, UnknownName> {
        let by_name = self.groups().find(|(group, ..)| *group == name).map(|(_, gid, _)| gid);
        by_name.or_else(|| id(name)).ok_or_else(|| UnknownName::Group(name.to_owned()))
    }

    fn memberships(&self, user: &str) -> Vec<u32> {
        let is_member = |members: &str| members.split(',').any(|member| member == user);
        self.groups().filter(|(_, _, members)| is_member(members)).map(|(_, gid, _)| gid).collect()
    }

    /// Names, numbers and members.
    fn groups(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let [name, _, gid, members, ..] = fields[..] else { return None };
            Some((name, id(gid)?, members.trim()))
        })
    }
}

fn account(line: &str) -> Option<Account<'_>> {
    let fields: Vec<_> = line.split(':').collect();
    let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
    Some(Account { name, uid: id(uid)?, gid: id(gid)?, home })
}

/// A user's or group's number. The largest one means "unchanged" to the kernel: it is none.
fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

fn read(root: &Root, path: &str) -> Result<String, FileError> {
    if root.metadata(path)?.is_none() {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    let read = root.open_to_read(path)?.take(LIMIT).read_to_end(&mut bytes);
    read.map_err(|source| FileError::new("read", path.as_ref(), source))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# a comment\nbroken:x\nweb:x:33:34::/srv:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nwww:x:34:\nextra:x:50:other,web\nmore:x:51:web\n";

    fn user(text: &str) -> Result<User, UnknownName> {
        Accounts { passwd: PASSWD.to_owned(), group: GROUP.to_owned() }.user(text)
    }

    fn expected(uid: u32, gid: u32, groups: &[u32], home: &str) -> User {
        User { uid, gid, groups: groups.to_vec(), home: home.to_owned() }
    }

    #[test]
    fn nothing_is_root_also_where_there_are_no_files() {
        assert_eq!(user("").unwrap(), expected(0, 0, &[], "/root"));
        let place = tempfile::tempdir().unwrap();
        let nothing = Accounts::read(&Root::open(place.path()).unwrap()).unwrap();
        assert_eq!(nothing.user("").unwrap(), expected(0, 0, &[], "/"));
    }

    #[test]
    fn a_name_and_its_number_mean_the_same_account_with_its_groups() {
        let web = expected(33, 34, &[50, 51], "/srv");
        assert_eq!(user("web").unwrap(), web);
        assert_eq!(user("33").unwrap(), web);
    }

    #[test]
    fn a_group_that_is_named_replaces_those_of_the_account() {
        assert_eq!(user("web:extra").unwrap(), expected(33, 50, &[], "/srv"));
        assert_eq!(user("web:9999").unwrap(), expected(33, 9999, &[], "/srv"));
    }

    #[test]
    fn a_number_that_is_not_in_the_file_is_taken_as_it_is() {
        assert_eq!(user("1000:1001").unwrap(), expected(1000, 1001, &[], "/"));
        assert_eq!(user("1000").unwrap(), expected(1000, 0, &[], "/"));
    }

    #[test]
    fn unknown_names_and_numbers_beyond_the_kernels_are_refused() {
        for text in ["nobody", "web:nogroup", "4294967295", "-1", "99999999999", "1:4294967295"] {
            assert!(user(text).is_err(), "{text}");
        }
    }
}
