//! Who a program runs as: text looked up in the image's `/etc/passwd` and `/etc/group`.

use homeostat_files::Root;
use homeostat_files::accounts::{Accounts, UnknownName, User};

use crate::{Failure, FailureKind, Process};

/// Looks up the user of a process: `UID`, `UID:GID`, `USER` or `USER:GROUP`; no text is root. The user gets the groups
/// of the process, too.
pub(crate) fn look_up(root: &Root, process: &Process) -> Result<User, Failure> {
    let accounts = Accounts::read(root).map_err(|error| Failure {
        kind: FailureKind::InvalidRequest,
        message: format!("cannot read the users of the image: {error}"),
        hint: None,
    })?;
    let mut user = accounts.user(process.user.as_deref().unwrap_or_default()).map_err(unknown)?;
    user.groups.extend(&process.additional_gids);
    for group in &process.groups {
        user.groups.push(accounts.group_id(group).map_err(unknown)?);
    }
    user.groups.sort_unstable();
    user.groups.dedup();
    Ok(user)
}

fn unknown(name: UnknownName) -> Failure {
    let message = match name {
        UnknownName::User(name) => format!("the image has no user {name} in /etc/passwd"),
        UnknownName::Group(name) => format!("the image has no group {name} in /etc/group"),
    };
    let hint = Some("use a numeric id, or create it in the image".to_owned());
    Failure { kind: FailureKind::UnknownUser, message, hint }
}
