//! `RUN`.

use super::{plain, refused};
use crate::case::Case;

/// What both build.
const BUILT: &[(&str, &str)] = &[
    ("a command makes a file", "FROM base\nRUN echo a > /a\n"),
    ("a command in the JSON form", "FROM base\nRUN [\"/bin/sh\", \"-c\", \"echo $0 > /a\", \"x\"]\n"),
    ("a command removes a file of the base", "FROM base\nRUN rm /old/file\n"),
    ("a command removes a directory of the base", "FROM base\nRUN rm -r /old\n"),
    ("a command replaces a directory", "FROM base\nRUN rm -r /old && mkdir /old && echo n > /old/new\n"),
    ("a command replaces a directory by a file", "FROM base\nRUN rm -r /old && echo n > /old\n"),
    ("a command changes a mode", "FROM base\nRUN chmod 600 /old/file && chmod 711 /old\n"),
    ("a command changes an owner", "FROM base\nRUN chown -R web:log /old\n"),
    ("a command makes links", "FROM base\nRUN ln -s /old/file /link && ln /old/file /hard\n"),
    ("a command makes special files", "FROM base\nRUN mkfifo /fifo && mknod /null c 1 3\n"),
    ("a command moves a directory", "FROM base\nRUN mv /old /new\n"),
    (
        "a command sees variables and arguments",
        "FROM base\nENV A=1\nARG B=2\nARG C\nRUN env | sort | grep -v HOSTNAME > /env\n",
    ),
    (
        "an argument beats an earlier variable in every instruction",
        "FROM base\nENV A=env\nARG A=arg\nENV C=$A\nLABEL l=$A\nRUN echo $A > /x\nENV A=last\nLABEL m=$A\nRUN echo $A > /y\n",
    ),
    ("a later variable beats an argument", "FROM base\nARG A=arg\nENV A=env\nLABEL l=$A\nRUN echo $A > /x\n"),
    (
        "root has its own groups",
        "FROM base\nRUN id > /id\nUSER 0\nRUN id > /id0\nUSER root:log\nRUN id > /idlog\n",
    ),
    ("an argument beats a variable of before", "FROM base\nENV A=env\nARG A=arg\nRUN echo $A > /x\n"),
    ("a command runs as the user", "FROM base\nUSER web\nRUN id > /tmp/id && echo $HOME > /tmp/home\n"),
    ("a command runs as a user and group", "FROM base\nUSER web:log\nRUN id > /tmp/id\n"),
    ("a command runs as a number", "FROM base\nUSER 1234\nRUN id > /tmp/id && echo $HOME >> /tmp/id\n"),
    (
        "a command runs as a number with a name",
        "FROM base\nUSER 33\nRUN id > /tmp/id && echo $HOME >> /tmp/id\n",
    ),
    ("a command runs in the working directory", "FROM base\nWORKDIR /w\nRUN pwd > pwd\n"),
    ("a command that changes nothing", "FROM base\nRUN true\n"),
    ("mount points are no part of the image", "FROM base\nRUN ls /proc/self /sys /dev > /dev/null\n"),
    ("what is written to mount points", "FROM base\nRUN echo x > /dev/shm/x; echo y > /etc/own\n"),
    ("a command with no network", "FROM base\nRUN --network=none ls /sys/class/net > /net\n"),
    ("a command with the default network", "FROM base\nRUN --network=default echo a > /a\n"),
    (
        "a memory file system is empty and gone",
        "FROM base\nRUN --mount=type=tmpfs,target=/t touch /t/x && ls /t > /seen\n",
    ),
    (
        "a memory file system with a size",
        "FROM base\nRUN --mount=type=tmpfs,target=/t,size=1m echo a > /t/x; ls /t > /seen\n",
    ),
    (
        "a cache is empty at first and gone",
        "FROM base\nRUN --mount=type=cache,target=/c,id=run-1 ls /c > /before; touch /c/x\n",
    ),
    (
        "a cache is kept from step to step",
        "FROM base\nRUN --mount=type=cache,target=/c,id=run-2 echo kept > /c/x\nRUN --mount=type=cache,target=/d,id=run-2 cat /d/x > /seen\n",
    ),
    (
        "a cache is of its target where it has no name",
        "FROM base\nRUN --mount=type=cache,target=/run-3 echo kept > /run-3/x\nRUN --mount=type=cache,target=/run-3 cat /run-3/x > /seen\n",
    ),
    (
        "a cache with an owner and a mode",
        "FROM base\nRUN --mount=type=cache,target=/c,id=run-4,uid=33,gid=40,mode=0711 stat -c '%u %g %a' /c > /seen\n",
    ),
    (
        "a cache that is read-only",
        "FROM base\nRUN --mount=type=cache,target=/c,id=run-5,ro touch /c/x 2> /dev/null || echo refused > /seen\n",
    ),
    (
        "a cache that begins as a stage",
        "FROM base AS seed\nRUN mkdir /s && echo seed > /s/x\nFROM base\nRUN --mount=type=cache,target=/c,id=run-6,from=seed,source=/s cat /c/x > /seen\n",
    ),
    (
        "the context is mounted",
        "FROM base\nRUN --mount=target=/ctx cat /ctx/a.txt > /seen; stat -c %a /ctx/setuid >> /seen\n",
    ),
    (
        "a file of the context is mounted",
        "FROM base\nRUN --mount=type=bind,source=dir/c,target=/mnt/c cat /mnt/c > /seen\n",
    ),
    (
        "a directory of the context is mounted",
        "FROM base\nRUN --mount=type=bind,source=dir,target=/mnt ls /mnt > /seen\n",
    ),
    (
        "a mounted context cannot be written",
        "FROM base\nRUN --mount=target=/ctx touch /ctx/x 2> /dev/null || echo refused > /seen\n",
    ),
    (
        "what is written to a mounted context is lost",
        "FROM base\nRUN --mount=target=/ctx,rw echo changed > /ctx/a.txt && cat /ctx/a.txt > /seen\nRUN --mount=target=/ctx cat /ctx/a.txt > /seen2\n",
    ),
    (
        "a stage is mounted",
        "FROM base AS one\nRUN echo one > /made\nFROM base\nRUN --mount=from=one,target=/one cat /one/made > /seen\n",
    ),
    (
        "a directory of a stage is mounted",
        "FROM base AS one\nRUN mkdir /d && echo one > /d/made\nFROM base\nRUN --mount=from=one,source=/d,target=/one,ro cat /one/made > /seen\n",
    ),
    (
        "an image is mounted",
        "FROM base\nRUN --mount=from=base,source=/old,target=/img cat /img/file > /seen\n",
    ),
    (
        "a relative target is beneath the working directory",
        "FROM base\nWORKDIR /w\nRUN --mount=type=tmpfs,target=t ls -d /w/t > /seen\n",
    ),
    (
        "two mounts and a flag",
        "FROM base\nRUN --mount=type=tmpfs,target=/t --mount=target=/ctx,ro --network=none cp /ctx/a.txt /t/ && cp /t/a.txt /seen\n",
    ),
    (
        "a mount over what is there leaves it",
        "FROM base\nRUN --mount=type=tmpfs,target=/old ls /old > /seen\n",
    ),
    (
        "a secret that is not required is not there",
        "FROM base\nRUN --mount=type=secret,id=none ls /run/secrets 2> /dev/null > /seen; true\n",
    ),
    (
        "variables in mounts",
        "FROM base\nARG T=/t\nARG S=dir\nRUN --mount=type=bind,source=$S,target=${T}x ls ${T}x > /seen\n",
    ),
    ("proxies are no part of the image", "FROM base\nRUN echo ${HTTP_PROXY:-none} > /dev/null\n"),
    ("a build argument shows in the history", "FROM base\nARG A=1\nARG B\nRUN echo $A > /a\n"),
    (
        "setuid and sticky bits",
        "FROM base\nRUN touch /s && chmod 4755 /s && mkdir -m 1777 /t && mkdir -m 2755 /g\n",
    ),
    ("a file with many names", "FROM base\nRUN mkdir /h && echo x > /h/a && ln /h/a /h/b && ln /h/a /h/c\n"),
];

/// What both refuse.
const REFUSED: &[(&str, &str)] = &[
    ("a command that fails", "FROM base\nRUN false\n"),
    ("a command that is not there", "FROM base\nRUN [\"/no/such\"]\n"),
    ("a command without a shell", "FROM scratch\nRUN echo\n"),
    ("a user that is not there", "FROM base\nUSER nobody\nRUN true\n"),
    ("a mount of another type", "FROM base\nRUN --mount=type=what,target=/x true\n"),
    ("a mount without a target", "FROM base\nRUN --mount=type=bind true\n"),
    ("a mount of what is not there", "FROM base\nRUN --mount=source=missing,target=/x true\n"),
    (
        "a required secret that is not given",
        "FROM base\nRUN --mount=type=secret,id=none,required=true true\n",
    ),
    ("a required socket that is not given", "FROM base\nRUN --mount=type=ssh,required true\n"),
    ("a network that is none", "FROM base\nRUN --network=bridge true\n"),
    ("an unknown key of a mount", "FROM base\nRUN --mount=type=tmpfs,target=/t,what=1 true\n"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = plain(BUILT);
    cases.extend([
        Case::new(
            "a socket that is not required is not there",
            "FROM base\nRUN --mount=type=ssh echo \"$SSH_AUTH_SOCK\" > /seen\n",
        )
        .differs("/seen: content", "Docker names a socket that is not there"),
        Case::new(
            "proxies reach a command and nothing else",
            "FROM base\nRUN test \"$HTTP_PROXY\" = p && echo a > /a\n",
        )
        .arg("HTTP_PROXY", "p"),
        Case::new("a given argument reaches a command", "FROM base\nARG A=default\nRUN echo $A > /a\n")
            .arg("A", "given"),
    ]);
    cases.extend(refused(REFUSED));
    cases.push(
        Case::new(
            "a command with the network of the host",
            "FROM base\nRUN --network=host ls /sys/class/net > /dev/null && echo a > /a\n",
        )
        .differs(
            "only Docker refuses it",
            "Docker wants a permission for it, which a builder for one host need not",
        ),
    );
    cases
}
