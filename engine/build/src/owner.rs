//! Users and groups by the names that the image gives them.

use homeostat_files::Root;
use homeostat_files::accounts::{Accounts, UnknownName, User};

use crate::StepError;

/// The user that `USER text` means, with its own group among its groups; nothing means root.
pub(crate) fn user(root: &Root, text: &str) -> Result<User, StepError> {
    let mut user = Accounts::read(root)?.user(text)?;
    user.groups.retain(|group| *group != user.gid);
    user.groups.insert(0, user.gid);
    Ok(user)
}

/// The owner and group that `--chown=text` means. A user's number without a group is the group's as well.
pub(crate) fn owner(root: &Root, text: &str) -> Result<(u32, u32), StepError> {
    let accounts = Accounts::read(root)?;
    let (name, group) = Accounts::split(text);
    let (uid, own_gid) = match (name.parse::<u32>(), accounts.account(name)) {
        // The largest number means "unchanged" to the kernel.
        (Ok(uid), _) if uid != u32::MAX => (uid, uid),
        (_, Some(account)) => (account.uid, account.gid),
        _ => return Err(UnknownName::User(name.to_owned()).into()),
    };
    Ok((uid, group.map_or(Ok(own_gid), |group| accounts.group_id(group))?))
}

impl From<UnknownName> for StepError {
    fn from(unknown: UnknownName) -> Self {
        match unknown {
            UnknownName::User(name) => Self::NoUser { name },
            UnknownName::Group(name) => Self::NoGroup { name },
        }
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
        let passwd = "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:\nbad\n";
        fs_err::write(place.path().join("etc/passwd"), passwd).unwrap();
        fs_err::write(place.path().join("etc/group"), "www:x:34:\nlog:x:40:a,web\nbad\n").unwrap();
        let web = User { uid: 33, gid: 34, groups: vec![34, 40], home: "/srv".into() };
        assert_eq!(user(&root, "web").unwrap(), web);
        assert_eq!(user(&root, "web:log").unwrap(), User { gid: 40, groups: vec![40], ..web });
        assert_eq!(user(&root, "99").unwrap().gid, 0);
        assert_eq!(owner(&root, "web").unwrap(), (33, 34));
        assert_eq!(owner(&root, "web:log").unwrap(), (33, 40));
        assert_eq!(owner(&root, "5:www").unwrap(), (5, 34));
        assert!(matches!(owner(&root, "nobody"), Err(StepError::NoUser { .. })));
        assert!(matches!(owner(&root, "4294967295"), Err(StepError::NoUser { .. })));
        assert!(matches!(owner(&root, "web:none"), Err(StepError::NoGroup { .. })));
    }
}
